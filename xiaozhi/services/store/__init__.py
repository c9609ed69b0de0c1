"""What the server keeps for good."""
