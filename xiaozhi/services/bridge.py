"""The one place where asyncio and Deferreds meet.

openai and its like live on asyncio, the house on Deferreds, both on one event loop (the
asyncio reactor). Under a Deferred coroutine await Deferreds only; inside an asyncio task
await asyncio only; these functions turn the one into the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.python.failure import Failure

from xiaozhi.channel import Channel

T = TypeVar("T")


def from_aio(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Run an asyncio coroutine as a task; cancelling the Deferred cancels the task."""

    def convert(failure: Failure) -> None:
        failure.trap(asyncio.CancelledError)
        raise CancelledError()

    result: Deferred[T] = Deferred.fromFuture(asyncio.ensure_future(work))
    result.addErrback(convert)
    return result


def to_aio(result: Deferred[T]) -> asyncio.Future[T]:
    """Let an asyncio task await a Deferred; cancelling the task cancels the Deferred."""
    return result.asFuture(asyncio.get_running_loop())


async def from_aio_stream(
    source: Callable[[], AsyncGenerator[T, None]], limit: int = 32
) -> AsyncGenerator[T, None]:
    """Yield what an asyncio generator yields, to a Deferred coroutine.

    One asyncio task owns the generator from its first step to its last, as libraries built on
    cancel scopes require. At most `limit` items wait to be read. Closing this generator
    cancels the task and waits until its clean-up is done, so that a provider has been told.
    """
    items: Channel[T] = Channel(limit)

    async def pump() -> None:
        try:
            async with aclosing(source()) as generator:
                async for item in generator:
                    await to_aio(ensureDeferred(items.put(item)))
        except asyncio.CancelledError:
            items.close(CancelledError())
            raise
        except Exception as error:  # carried to the reader, not handled here
            items.close(error)
        else:
            items.close()

    task = asyncio.ensure_future(pump())
    ended: Deferred[None] = Deferred()
    task.add_done_callback(lambda _: ended.callback(None))
    try:
        async with aclosing(aiter(items)) as received:
            async for item in received:
                yield item
    finally:
        if not task.done():
            task.cancel()
        await ended
