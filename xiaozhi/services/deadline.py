"""Deadlines: a call must be done in time; a stream must begin soon, not stall, and end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from xiaozhi.errors import ServiceError

T = TypeVar("T")

_END: Final = object()


@attrs.frozen
class Deadlines:
    """How long one may wait for a stream, in seconds."""

    first: float
    """For its first item."""
    gap: float
    """For each item after that."""
    whole: float
    """For all of it, the time its reader takes left out."""


def within(
    seconds: float,
    call: Deferred[T],
    clock: Any,
    late: Callable[[Any, float], Any] | None = None,
) -> Deferred[T]:
    """Give a call so many `seconds`, as `addTimeout` does; no timer is set for one that is done."""
    if not call.called or call.paused:  # which is called, too, but waits for another's result
        call.addTimeout(seconds, clock, onTimeoutCancel=late)
    return call


async def timed(
    stream: AsyncGenerator[T, None], reactor: Any, stage: str, deadlines: Deadlines
) -> AsyncGenerator[T, None]:
    """Yield what `stream`, an async generator that awaits Deferreds, yields.

    Raises `ServiceError(stage, ...)` when a deadline passes. Time the reader takes between items
    does not count. The stream is closed in every case.
    """
    patience, complaint = deadlines.first, f"no answer within {deadlines.first:g} s"
    left = deadlines.whole
    async with aclosing(stream):
        while True:
            if left < patience:
                patience, complaint = left, f"not done within {deadlines.whole:g} s"
            began = reactor.seconds()
            step = Deferred.fromCoroutine(_step(stream))
            # Cancelling reaches the Deferred the stream waits for, so its clean-up runs.
            step.addTimeout(max(patience, 0.0), reactor)
            try:
                item = await step
            except TimedOut as error:
                raise ServiceError(stage, complaint) from error
            if item is _END:
                return
            left -= reactor.seconds() - began
            yield item
            patience, complaint = deadlines.gap, f"stalled for {deadlines.gap:g} s"


async def _step(stream: AsyncGenerator[T, None]) -> Any:
    return await anext(stream, _END)


async def gathered(
    pieces: AsyncGenerator[str, None], reactor: Any, stage: str, deadlines: Deadlines, most: int
) -> str | None:
    """Put a text together; None if it has more than `most` characters. Raises as `timed` does."""
    text: list[str] = []
    length = 0
    async with aclosing(timed(pieces, reactor, stage, deadlines)) as coming:
        async for piece in coming:
            text.append(piece)
            length += len(piece)
            if length > most:
                return None
    return "".join(text)


async def late(waiting: Deferred[Any], clock: Any, patience: float) -> bool:
    """Wait for a Deferred, and leave its result in it; say whether it takes over `patience` s."""

    def arrived(result: T) -> T:
        if not either.called:
            either.callback(None)
        return result

    either: Deferred[None] = Deferred()
    timer = clock.callLater(patience, either.callback, None)
    waiting.addBoth(arrived)
    try:
        await either
    finally:
        if timer.active():
            timer.cancel()
    return not waiting.called
