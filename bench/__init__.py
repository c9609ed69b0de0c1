"""How fast the server is, and how much it costs: `make bench`. See README.md here."""
