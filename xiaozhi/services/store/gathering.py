"""Many small changes at once: what is asked for while one transaction runs is done in the next.

A transaction costs a write to the disk, however little is in it. When every device comes back
after a restart, one for each would keep them waiting for longer than they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from xiaozhi.errors import Refused, ServiceError
from xiaozhi.scope import about

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE: Final = 64
"""Changes in one transaction."""
WAITING: Final = 8192
"""Changes that wait for theirs."""


class Gathering(Generic[T, R]):
    """Collect changes, and have them made together."""

    def __init__(self, make: Callable[[Sequence[T]], Deferred[list[R | ServiceError]]]) -> None:
        """Have `make` make some; it tells what came of each. If it fails, all of them do."""
        self._make = make
        self._waiting: list[tuple[T, Deferred[R]]] = []
        self._busy = False

    def add(self, change: T) -> Deferred[R]:
        """Have a change made, and tell what came of it; fails with ServiceError."""
        if len(self._waiting) >= WAITING:
            return fail(Refused("store", f"{WAITING} changes are waiting"))
        made: Deferred[R] = Deferred()
        self._waiting.append((change, made))
        if not self._busy:
            self._next()
        return made

    def _next(self) -> None:
        some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        self._busy = True
        with about(None):  # it is done for all of them
            making = self._make([change for change, _ in some])
            making.addBoth(self._made, [made for _, made in some])

    def _made(
        self, results: list[R | ServiceError] | Failure, waiters: Sequence[Deferred[R]]
    ) -> None:
        self._busy = False
        if self._waiting:
            self._next()
        for number, waiter in enumerate(waiters):
            if waiter.called:
                continue  # it was given up meanwhile
            if isinstance(results, Failure):
                waiter.errback(results.value)
            elif isinstance(result := results[number], ServiceError):
                waiter.errback(result)
            else:
                waiter.callback(result)
