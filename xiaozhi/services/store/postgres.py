"""PostgreSQL as the store wants it: a server that went silent is not waited for for ever."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Engine, create_engine, event

T = TypeVar("T")


def engine(url: URL, patience: float, pool: Mapping[str, Any]) -> Engine:
    """Make the engine of a database; no statement takes longer than `patience`, in seconds."""
    made = create_engine(url, pool_pre_ping=True, **pool)
    event.listen(
        made,
        "do_connect",
        lambda dialect, record, args, kwargs: _connect(patience, *args, **kwargs),
    )
    return made


class Impatient(psycopg.Connection[Any]):
    """Gives up when the server has said nothing for `patience` seconds, and is closed then.

    The server's own timeouts do not help where it is stopped or the network is gone, and a
    thread cannot be freed from outside.
    """

    patience = math.inf

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Do what psycopg does for every exchange with the server, within the patience."""
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, exchange: PQGen[T]) -> Generator[Any, Any, T]:
        deadline = time.monotonic() + self.patience
        try:
            wanted = next(exchange)
            while True:
                # psycopg wakes us ten times a second even if nothing is ready.
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {self.patience:g} s")
                wanted = exchange.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result


def _connect(patience: float, *args: Any, **kwargs: Any) -> Impatient:
    # psycopg knows whole seconds, from 2 on.
    usual = {"connect_timeout": min(math.ceil(patience), 10)}
    connection = Impatient.connect(*args, **(usual | kwargs), autocommit=True)
    connection.patience = patience
    try:
        # Sooner than we, so that it names its reason and keeps no locks for us.
        limit = f"{math.ceil(patience * 750)}ms"
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [limit])
        connection.autocommit = False
    except psycopg.Error:
        connection.close()
        raise
    return connection
