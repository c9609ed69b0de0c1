"""What was found out is kept for a while, and asked for once by all who want it at a time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError

T = TypeVar("T")


@attrs.frozen
class Known(Generic[T]):
    """Something that was found out."""

    value: T
    age: float = 0.0
    """Seconds since it was."""
    stale: bool = False
    """Whether it is too old, but all there is, as the source failed."""


@attrs.define
class _Entry(Generic[T]):
    value: T
    at: float


class Kept(Generic[T]):
    """Keeps up to `bound` values for `lifetime` seconds, and longer should the source fail.

    Who waits for a value may give up; it is found out all the same, for whoever comes next.
    """

    def __init__(self, clock: Any, lifetime: float, usable: float = 0.0, bound: int = 64) -> None:
        """Give a value of up to `usable` seconds where there is no newer one."""
        self._clock = clock
        self._lifetime = lifetime
        self._usable = usable
        self._bound = bound
        self._entries: dict[Hashable, _Entry[T]] = {}
        self._work: dict[Hashable, Deferred[None]] = {}
        self._waiting: dict[Hashable, list[Deferred[Known[T]]]] = {}

    async def get(self, key: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> Known[T]:
        """Give the value of `key`, found out by `find` if need be; raise its ServiceError."""
        entry = self._entries.get(key)
        if entry is not None and self._age(entry) < self._lifetime:
            return Known(entry.value, self._age(entry))
        waiter: Deferred[Known[T]] = Deferred()
        self._waiting.setdefault(key, []).append(waiter)
        if key not in self._work:
            work = Deferred.fromCoroutine(find())
            told = work.addCallbacks(
                lambda value: self._found(key, value), lambda failure: self._failed(key, failure)
            )
            if not work.called:  # else it is over already
                self._work[key] = told
        return await waiter

    def drop(self) -> None:
        """Forget everything that is known."""
        self._entries.clear()

    def stop(self) -> None:
        """Give up what is being found out."""
        for work in list(self._work.values()):
            work.cancel()

    def _age(self, entry: _Entry[T]) -> float:
        age: float = self._clock.seconds() - entry.at
        return age

    def _found(self, key: Hashable, value: T) -> None:
        self._entries.pop(key, None)
        while len(self._entries) >= self._bound:
            del self._entries[next(iter(self._entries))]  # the oldest
        self._entries[key] = _Entry(value, self._clock.seconds())
        self._tell(key, Known(value))

    def _failed(self, key: Hashable, failure: Failure) -> None:
        entry = self._entries.get(key)
        if entry is not None and failure.check(ServiceError) and self._age(entry) < self._usable:
            self._tell(key, Known(entry.value, self._age(entry), stale=True))
        else:
            self._tell(key, failure)

    def _tell(self, key: Hashable, outcome: Any) -> None:
        self._work.pop(key, None)
        for waiter in self._waiting.pop(key, []):
            if not waiter.called:
                waiter.callback(outcome)  # a Failure becomes an errback
