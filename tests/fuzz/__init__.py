"""Inputs nobody thought of: each target takes bytes, and raises where the server is at fault."""
