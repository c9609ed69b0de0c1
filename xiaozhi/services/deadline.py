"""A deadline for a stream: it must begin soon, and must not stall."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from xiaozhi.errors import ServiceError

T = TypeVar("T")

_END: Final = object()


async def timed(
    stream: AsyncGenerator[T, None], reactor: Any, stage: str, first: float, gap: float
) -> AsyncGenerator[T, None]:
    """Yield what `stream`, an async generator that awaits Deferreds, yields.

    Raises `ServiceError(stage, ...)` when its first item takes longer than `first` seconds, or
    a later one longer than `gap`. Time the reader takes between items does not count. The
    stream is closed in every case.
    """
    patience, complaint = first, f"no answer within {first:g} s"
    async with aclosing(stream):
        while True:
            step = Deferred.fromCoroutine(_step(stream))
            # Cancelling reaches the Deferred the stream waits for, so its clean-up runs.
            step.addTimeout(patience, reactor)
            try:
                item = await step
            except TimedOut as error:
                raise ServiceError(stage, complaint) from error
            if item is _END:
                return
            yield item
            patience, complaint = gap, f"stalled for {gap:g} s"


async def _step(stream: AsyncGenerator[T, None]) -> Any:
    return await anext(stream, _END)
