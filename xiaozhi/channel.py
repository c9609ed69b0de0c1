"""A bounded queue between two coroutines, for Deferreds."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Channel(Generic[T]):
    """Carry items from one coroutine to another; a full channel makes its writer wait.

    One writer and one reader. `close` ends the iteration after what was put is read;
    `close(error)` ends it by raising `error`. Waiting for either side can be cancelled.
    """

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` items that nobody has read."""
        self._limit = limit
        self._items: deque[T] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._changed: Deferred[None] | None = None

    def __len__(self) -> int:
        """Count the items nobody has read."""
        return len(self._items)

    async def put(self, item: T) -> bool:
        """Add `item`, waiting while the channel is full; into a closed channel it is dropped.

        Tells whether the channel is still open, so that more is worth making.
        """
        while len(self._items) >= self._limit and not self._closed:
            await self._change()
        if not self._closed:
            self._items.append(item)
            self._notify()
        return not self._closed

    def take(self) -> list[T]:
        """Take all that was put and nobody has read, without waiting."""
        items = list(self._items)
        self._items.clear()
        if items:
            self._notify()
        return items

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more will be put. Only the first close counts."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._notify()

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Yield the items in order until the channel is closed and empty."""
        while True:
            while not self._items:
                if self._closed:
                    if self._error is not None:
                        raise self._error
                    return
                await self._change()
            item = self._items.popleft()
            self._notify()
            yield item

    async def _change(self) -> None:
        if self._changed is None or self._changed.called:
            self._changed = Deferred()
        # Each waiter has a Deferred of its own: cancelling one must not wake the other.
        waiter: Deferred[None] = Deferred()
        self._changed.addBoth(lambda _: None if waiter.called else waiter.callback(None))
        await waiter

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.callback(None)
