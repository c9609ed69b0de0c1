"""A thing made at most once, in a thread, when it is first wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, succeed

from xiaozhi.services.pool import Workers

T = TypeVar("T")


class Lazy(Generic[T]):
    """Make a thing in the pool at the first `get`; a failure is told, and tried again next time.

    Who waits may give up: the making goes on, for whoever comes next.
    """

    def __init__(self, pool: Workers, make: Callable[[], T]) -> None:
        """Take what makes the thing; it is called in a thread of the `pool`."""
        self._pool = pool
        self._make = make
        self._made: T | None = None
        self._making = False
        self._waiting: list[Deferred[T]] = []
        self._dropped = False

    def get(self) -> Deferred[T]:
        """Wait for the thing; fails with what making it raised."""
        if self._made is not None:
            return succeed(self._made)
        waiter: Deferred[T] = Deferred()
        self._waiting.append(waiter)
        if not self._making:
            self._making, self._dropped = True, False
            # Called through the Deferred, so that a refusal of the pool fails the waiter.
            succeed(None).addCallback(lambda _: self._pool.run(self._make)).addCallbacks(
                self._keep, self._tell
            )
        return waiter

    def drop(self) -> T | None:
        """Give the thing away, if there is one, and forget it; one in the making too."""
        made, self._made, self._dropped = self._made, None, True
        return made

    def _keep(self, made: T) -> None:
        if not self._dropped:
            self._made = made
        self._tell(made)

    def _tell(self, outcome: Any) -> None:
        self._making = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(outcome)  # a Failure becomes an errback
