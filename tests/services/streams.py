"""What the tests of engines that stream have in common: a workshop, and streams to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from xiaozhi.services.bridge import from_aio
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers

T = TypeVar("T")
S = TypeVar("S", bound=Service)


async def collect(stream: AsyncIterator[T]) -> list[T]:
    """Read a stream to its end."""
    return [piece async for piece in stream]


async def play(script: Sequence[Any]) -> AsyncGenerator[Any, None]:
    """Yield the steps of a script; an exception among them is raised, a Deferred waited for."""
    for step in script:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Deferred):
            await step
        else:
            yield step


def within(event: Deferred[Any], seconds: float = 5.0) -> Deferred[Any]:
    """Wait for `event`, but not for ever."""
    return event.addTimeout(seconds, reactor)


async def settled() -> None:
    """Wait until every asyncio task that there is now is over."""
    loop = reactor._asyncioEventloop  # type: ignore[attr-defined]
    if tasks := asyncio.all_tasks(loop):
        await within(from_aio(asyncio.wait(tasks)))


class StreamTestCase(TestCase):
    """Has a workshop on the real reactor; every asyncio task must be over at the end."""

    timeout = 20
    stage: str
    _started = False

    def workshop(self, clock: Any = None) -> Workshop:
        pool = Workers(reactor, self.stage)
        pool.startService()
        self.addCleanup(pool.stopService)
        return Workshop(clock or reactor, pool, Path(), "zh")

    def started(self, engine: S) -> S:
        """Start an engine that is a service, until the end of the test."""
        engine.startService()
        if not self._started:  # so that it comes after the last engine has stopped
            self.addCleanup(self.no_tasks)
        self._started = True
        self.addCleanup(engine.stopService)
        return engine

    async def no_tasks(self) -> None:
        """Fail if a task lives on. The event loop closes dropped generators a moment later."""
        loop = reactor._asyncioEventloop  # type: ignore[attr-defined]
        for _ in range(50):
            if not asyncio.all_tasks(loop):
                break
            await deferLater(reactor, 0)
        self.assertEqual(asyncio.all_tasks(loop), set())
