"""The database: opened, brought up to date, and used in transactions. Everything here blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, exc, inspect, make_url, text

from xiaozhi.errors import ServiceError
from xiaozhi.services.store import sqlite
from xiaozhi.services.store.activations import ActivationBook
from xiaozhi.services.store.devices import DeviceBook
from xiaozhi.services.store.locks import UPGRADE, lock
from xiaozhi.services.store.memories import MemoryBook
from xiaozhi.services.store.migrations import HEAD
from xiaozhi.services.store.recollections import RecollectionBook
from xiaozhi.services.store.reminders import ReminderBook
from xiaozhi.services.store.tokens import TokenBook

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = 600.0
"""Seconds a step of an upgrade may take, or wait for another server that upgrades."""
_ALEMBIC = threading.Lock()
"""Alembic keeps what it is at in a module, so only one upgrade at a time."""


class Books:
    """All that is kept, within one transaction."""

    def __init__(self, on: Connection) -> None:
        """Read and write `on` this connection."""
        self.devices = DeviceBook(on)
        self.activations = ActivationBook(on)
        self.tokens = TokenBook(on)
        self.memories = MemoryBook(on)
        self.recollections = RecollectionBook(on)
        self.reminders = ReminderBook(on)


class Database:
    """A database that is there and up to date. Any failure is a ServiceError."""

    def __init__(self, url: URL, patience: float, connections: int) -> None:
        """Open it, and make or upgrade its tables; no lock is waited for beyond `patience`, in s.

        At most so many `connections` are kept, one for each thread that uses it.
        """
        self._closed = False
        self._engine = _engine(url, patience, connections)
        try:
            with _named():
                if _version(self._engine) != HEAD:
                    migrate(url)
        except ServiceError:
            self.close()
            raise

    def read(self, work: Callable[[Books], T]) -> T:
        """Call `work` to look something up."""
        with self._connected() as connection:
            # Each statement by itself: on SQLite they block nobody, on PostgreSQL it is one trip.
            connection.execution_options(isolation_level="AUTOCOMMIT")
            return work(Books(connection))

    def write(self, work: Callable[[Books], T]) -> T:
        """Call `work` to change something: all of it, for good, or nothing."""
        with self._connected() as connection, connection.begin():
            return work(Books(connection))

    def close(self) -> None:
        """Close the connections; one that is in use is closed when it is not any more."""
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with _named(), self._engine.connect() as connection:
            try:
                yield connection
            finally:
                if self._closed:
                    connection.invalidate()


def locate(place: str | Path) -> URL:
    """Tell the URL of a `place`: a file's, or one from the settings (which checked it)."""
    if isinstance(place, Path):
        return URL.create("sqlite", database=str(place))
    url = make_url(place)
    return url if url.drivername == "sqlite" else url.set(drivername="postgresql+psycopg")


def migrate(url: URL) -> None:
    """Bring the tables at `url` up to date: all the way, or not at all."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = _engine(url, _MIGRATING, 1)
    try:
        with _ALEMBIC, _named(), engine.begin() as connection:
            lock(connection, UPGRADE)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise ServiceError(
            "store", f"the database cannot be upgraded; is it a newer server's? ({error})"
        ) from error
    finally:
        engine.dispose()


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


@contextmanager
def _named() -> Iterator[None]:
    """Say what is wrong with the database, in one line that has neither values nor secrets."""
    try:
        yield
    except exc.DBAPIError as error:
        # The first line is the complaint; PostgreSQL has the values in those after it.
        why = next(iter(str(error.orig).splitlines()), "") or type(error.orig).__name__
        raise ServiceError("store", why) from error
    except exc.TimeoutError as error:
        raise ServiceError("store", "no connection is free") from error
    except OSError as error:
        raise ServiceError("store", f"{error.filename}: {error.strerror}") from error


def _engine(url: URL, patience: float, connections: int) -> Engine:
    pool: dict[str, Any] = {
        "pool_size": connections,
        "max_overflow": 0,
        "pool_timeout": patience,
        "hide_parameters": True,
    }
    if url.get_backend_name() == "sqlite":
        return sqlite.engine(url, patience, pool)
    from xiaozhi.services.store import postgres

    return postgres.engine(url, patience, pool)
