"""SQLite as the store wants it: durable, and fit for several threads and processes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

_TRIES = 20


def engine(url: URL, patience: float, pool: Mapping[str, Any]) -> Engine:
    """Make the engine of a file. No lock is waited for longer than `patience`, in seconds."""
    # Somewhat sooner, so that whoever called is still there to be told what it was.
    patience *= 0.75
    made = create_engine(url, connect_args={"timeout": patience}, **pool)
    event.listen(made, "do_connect", partial(_create, str(url.database)))
    event.listen(made, "connect", partial(_prepare, patience))
    event.listen(made, "begin", _begin)
    return made


def _create(path: str, *_: Any) -> None:
    """Make the file ours alone, if it is not there: it has what was said.

    One that is there is not even opened: to close it again would give up all locks this process
    has on it (POSIX), and whoever uses it next would take away the log that we write to.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare(patience: float, connection: sqlite3.Connection, _: Any) -> None:
    """Set up a connection."""
    # Readers and the writer do not block each other. Where another process does the same to a
    # new file, SQLite does not wait by itself.
    for left in reversed(range(_TRIES)):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
            time.sleep(patience / _TRIES)
    # What was acknowledged is on the disk, even if the power fails.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    # What users had erased is not left on free pages.
    connection.execute("PRAGMA secure_delete=ON")


def _begin(connection: Connection) -> None:
    """Take the write lock at once: who reads first and writes then may be told that it is late."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
