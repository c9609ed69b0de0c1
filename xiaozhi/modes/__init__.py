"""What to do with what was heard."""
