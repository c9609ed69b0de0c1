"""How a database of any age becomes the newest: what Alembic needs, and nothing that imports it."""

HEAD = "0005"
"""The newest migration. A database that says this needs none, which is known without Alembic."""
