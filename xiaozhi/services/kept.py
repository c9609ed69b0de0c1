"""What was found out is kept for a while, and asked for once by all who want it at a time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Final, Generic, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError

T = TypeVar("T")

STOPPED: Final = "its settings have just changed; try again"
"""Why nothing is found out any more, for who still asks one that has been replaced."""


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


@attrs.define(eq=False)
class _Search(Generic[T]):
    """Something that is being found out, and those who wait for it."""

    key: Hashable
    work: Deferred[T]
    waiting: list[Deferred[Known[T]]] = attrs.field(factory=list)


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
        self._searches: dict[Hashable, _Search[T]] = {}
        """Those whose values will be kept."""
        self._under_way: set[_Search[T]] = set()
        """With those that began before what was known was dropped."""
        self._stopped = False

    async def get(self, key: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> Known[T]:
        """Give the value of `key`, found out by `find` if need be; raise its ServiceError."""
        entry = self._entries.get(key)
        if entry is not None and self._age(entry) < self._lifetime:
            return Known(entry.value, self._age(entry))
        if self._stopped:
            raise ServiceError("tool", STOPPED)
        waiter: Deferred[Known[T]] = Deferred()
        search = self._searches.get(key)
        if search is not None:
            search.waiting.append(waiter)
        else:
            search = _Search(key, Deferred.fromCoroutine(find()), [waiter])
            self._searches[key] = search
            self._under_way.add(search)
            search.work.addCallbacks(partial(self._found, search), partial(self._failed, search))
        return await waiter

    def drop(self) -> None:
        """Forget everything that is known; what is being found out is not kept, either."""
        self._entries.clear()
        self._searches.clear()

    def stop(self) -> None:
        """Give up what is being found out: who waits for it is told so."""
        self._stopped = True
        for search in list(self._under_way):
            search.work.cancel()

    def _age(self, entry: _Entry[T]) -> float:
        age: float = self._clock.seconds() - entry.at
        return age

    def _found(self, search: _Search[T], value: T) -> None:
        if self._searches.get(search.key) is search:
            self._entries.pop(search.key, None)
            while len(self._entries) >= self._bound:
                del self._entries[next(iter(self._entries))]  # the oldest
            self._entries[search.key] = _Entry(value, self._clock.seconds())
        self._tell(search, Known(value))

    def _failed(self, search: _Search[T], failure: Failure) -> None:
        entry = self._entries.get(search.key)
        if self._stopped and failure.check(CancelledError):
            failure = Failure(ServiceError("tool", STOPPED))
        if entry is not None and failure.check(ServiceError) and self._age(entry) < self._usable:
            self._tell(search, Known(entry.value, self._age(entry), stale=True))
        else:
            self._tell(search, failure)

    def _tell(self, search: _Search[T], outcome: Any) -> None:
        self._under_way.discard(search)
        if self._searches.get(search.key) is search:
            del self._searches[search.key]
        for waiter in search.waiting:
            if not waiter.called:
                waiter.callback(outcome)  # a Failure becomes an errback
