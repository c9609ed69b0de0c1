"""A connection made ready before it is needed, in the background."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from xiaozhi.services.bridge import from_aio

IDLE: Final = 20.0
"""Seconds after its last use for which a connection is trusted."""


class Warmer:
    """Warms one thing up: once at a time, and not if it was warmed or used a moment ago."""

    def __init__(self, clock: Any, prepare: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let `prepare`, an asyncio coroutine that keeps its failures to itself, do the work."""
        self._clock = clock
        self._prepare = prepare
        self._latest = float("-inf")
        self._work: Deferred[None] | None = None

    def used(self) -> None:
        """Note that the connection was used, and is still there."""
        self._latest = self._clock.seconds()

    def warm(self) -> None:
        """Begin the work, if it is of use. Returns at once and raises nothing."""
        now = self._clock.seconds()
        if self._work is None and now - self._latest >= IDLE:
            self._latest = now
            self._work = from_aio(self._prepare())
            self._work.addErrback(Failure.trap, CancelledError).addBoth(self._ended)

    def stop(self) -> Deferred[None]:
        """Give the work up, and wait until it is over. It may begin at once another time."""
        self._latest = float("-inf")
        if self._work is None:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._work.addBoth(lambda _: ended.callback(None))
        self._work.cancel()
        return ended

    def _ended(self, result: object) -> object:
        self._work = None
        return result
