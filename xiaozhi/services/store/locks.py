"""Locks that hold until a transaction ends, in the dialect of the database."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

UPGRADE: Final = 0x7869616F
"""Taken by the one server that upgrades the tables."""
REGISTRATION: Final = UPGRADE + 1
"""Taken by the one that counts devices and adds some."""


def lock(on: Connection, which: int) -> None:
    """Wait until no other transaction has this lock. In SQLite whoever writes is alone anyway."""
    if on.dialect.name == "postgresql":
        on.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": which})
