"""Insert or update in one statement, in the dialect of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Table

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Begin an insert that has `on_conflict_do_update` and `on_conflict_do_nothing`."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)
