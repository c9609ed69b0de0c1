"""Between asyncio and Deferreds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from xiaozhi.services.bridge import from_aio, from_aio_stream, to_aio


async def collect(stream: AsyncIterator[Any], got: list[Any]) -> list[Any]:
    """Read a stream to its end, into `got`."""
    async for item in stream:
        got.append(item)
    return got


class BridgeTestCase(TestCase):
    """Every asyncio task must be over at the end."""

    timeout = 5

    def setUp(self) -> None:
        self.log: list[Any] = []
        self.addCleanup(self.no_tasks)

    async def no_tasks(self) -> None:
        for _ in range(20):
            if not asyncio.all_tasks(self.loop):
                break
            await self.turn()
        self.assertEqual(asyncio.all_tasks(self.loop), set())

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop  # type: ignore[attr-defined]
        return loop

    def turn(self) -> Deferred[None]:
        """Let the event loop go round."""
        return deferLater(reactor, 0)

    async def turns(self) -> None:
        for _ in range(10):
            await self.turn()


class FromAioTests(BridgeTestCase):
    async def wait(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("cleaning")
            await asyncio.sleep(0)
            self.log.append("clean")

    async def test_result(self) -> None:
        """A coroutine's result is the Deferred's."""

        async def work() -> int:
            await asyncio.sleep(0)
            return 42

        self.assertEqual(await from_aio(work()), 42)

    async def test_error(self) -> None:
        """A coroutine's error is the Deferred's."""

        async def work() -> None:
            raise KeyError("broken")

        with self.assertRaises(KeyError):
            await from_aio(work())

    async def test_cancel(self) -> None:
        """Cancelling ends the coroutine, waits for its clean-up, and is Twisted's error."""
        result = from_aio(self.wait())
        await self.turns()
        result.cancel()
        with self.assertRaises(CancelledError):
            await result
        self.assertEqual(self.log, ["cleaning", "clean"])

    async def test_cancel_at_once(self) -> None:
        """A coroutine may be cancelled before its first step."""
        result = from_aio(self.wait())
        result.cancel()
        with self.assertRaises(CancelledError):
            await result
        self.assertEqual(self.log, [])

    async def test_timeout(self) -> None:
        """A Deferred's timeout works, and is a TimeoutError."""
        result = from_aio(self.wait()).addTimeout(0.01, reactor)
        with self.assertRaises(TimeoutError):
            await result
        self.assertEqual(self.log, ["cleaning", "clean"])

    async def test_stubborn(self) -> None:
        """A coroutine that does not let itself be cancelled gives its result."""

        async def work() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "still here"
            return "never"

        result = from_aio(work())
        await self.turns()
        result.cancel()
        self.assertEqual(await result, "still here")


class ToAioTests(BridgeTestCase):
    async def test_result(self) -> None:
        """A task can await a Deferred."""
        inner: Deferred[int] = Deferred()

        async def work() -> int:
            return await to_aio(inner) + 1

        result = from_aio(work())
        await self.turns()
        inner.callback(41)
        self.assertEqual(await result, 42)

    async def test_error(self) -> None:
        """A Deferred's error is raised in the task."""
        inner: Deferred[int] = Deferred()

        async def work() -> None:
            try:
                await to_aio(inner)
            except KeyError:
                self.log.append("caught")

        result = from_aio(work())
        await self.turns()
        inner.errback(KeyError("broken"))
        await result
        self.assertEqual(self.log, ["caught"])

    async def test_cancel(self) -> None:
        """Cancelling the task cancels the Deferred."""
        inner: Deferred[int] = Deferred(lambda _: self.log.append("cancelled"))

        async def work() -> None:
            await to_aio(inner)

        result = from_aio(work())
        await self.turns()
        result.cancel()
        with self.assertRaises(CancelledError):
            await result
        await self.turns()
        self.assertEqual(self.log, ["cancelled"])


class StreamTests(BridgeTestCase):
    async def source(self, *steps: Any) -> AsyncGenerator[Any, None]:
        """Yield the steps; an exception is raised, an Event waited for."""
        self.log.append("open")
        task = asyncio.current_task()
        try:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    self.log.append(f"make {step}")
                    yield step
        finally:
            self.log.append("closing")
            await asyncio.sleep(0)
            # What libraries built on cancel scopes require.
            self.assertIs(asyncio.current_task(), task)
            self.log.append("closed")

    def stream(self, *steps: Any, limit: int = 32) -> AsyncGenerator[Any, None]:
        return from_aio_stream(lambda: self.source(*steps), limit)

    def closed(self) -> None:
        self.assertEqual(self.log[-2:], ["closing", "closed"])
        self.assertEqual(self.log.count("closed"), 1)

    async def test_items(self) -> None:
        """All items come, in order, then the end."""
        self.assertEqual(await collect(self.stream(1, None, 3), []), [1, None, 3])
        self.closed()

    async def test_nothing(self) -> None:
        """A stream of nothing is one."""
        self.assertEqual(await collect(self.stream(), []), [])

    async def test_more_than_fit(self) -> None:
        """A stream longer than the limit comes through whole."""
        self.assertEqual(await collect(self.stream(*range(100), limit=3), []), list(range(100)))

    async def test_bound(self) -> None:
        """No more is made than may wait, and one that waits to be put."""
        async with aclosing(self.stream(*range(100), limit=3)) as items:
            await anext(items)
            await self.turns()
            made = [line for line in self.log if line.startswith("make")]
            self.assertLessEqual(len(made), 6)
        self.closed()

    async def test_error(self) -> None:
        """An error comes after the items before it, as it is."""
        got: list[Any] = []
        error = KeyError("broken")
        with self.assertRaises(KeyError) as caught:
            await collect(self.stream(1, 2, error), got)
        self.assertIs(caught.exception, error)
        self.assertEqual(got, [1, 2])
        self.closed()

    async def test_error_of_the_source(self) -> None:
        """A source that cannot even be made is an error of the stream."""

        def broken() -> AsyncGenerator[int, None]:
            raise KeyError("broken")

        with self.assertRaises(KeyError):
            await collect(from_aio_stream(broken), [])

    async def test_close(self) -> None:
        """Closing in the middle closes the source, and waits until it is closed."""
        async with aclosing(self.stream(1, asyncio.Event())) as items:
            self.assertEqual(await anext(items), 1)
        self.closed()

    async def test_close_while_full(self) -> None:
        """Closing while the source waits to put an item closes it."""
        async with aclosing(self.stream(*range(9), limit=1)) as items:
            await anext(items)
            await self.turns()
        self.closed()

    async def test_close_unread(self) -> None:
        """A stream that nobody has read is not opened."""
        await self.stream(1, 2).aclose()
        self.assertEqual(self.log, [])

    async def test_cancel(self) -> None:
        """Cancelling who waits for an item closes the source first."""
        got: list[Any] = []
        reading = Deferred.fromCoroutine(collect(self.stream(1, asyncio.Event()), got))
        await self.turns()
        self.assertEqual(got, [1])
        reading.cancel()
        with self.assertRaises(CancelledError):
            await reading
        self.closed()

    async def test_cancel_at_once(self) -> None:
        """Cancelling before the source has begun leaves nothing behind."""
        reading = Deferred.fromCoroutine(collect(self.stream(1), []))
        reading.cancel()
        with self.assertRaises(CancelledError):
            await reading
        self.assertEqual(self.log, [])

    async def test_cancelled_source(self) -> None:
        """A source that was cancelled by somebody else ends the stream with a CancelledError."""
        with self.assertRaises(CancelledError):
            await collect(self.stream(1, asyncio.CancelledError()), [])
        self.closed()

    async def test_error_while_closing(self) -> None:
        """A source that fails while it is closed does not spoil the closing."""

        async def source() -> AsyncGenerator[int, None]:
            try:
                yield 1
                await asyncio.Event().wait()
            finally:
                self.log.append("closing")
                raise KeyError("broken")

        async with aclosing(from_aio_stream(source)) as items:
            await anext(items)
        self.assertEqual(self.log, ["closing"])

    async def test_slow_reader(self) -> None:
        """What was made while the reader was busy is not lost when the source ends."""
        got = []
        async for item in self.stream(1, 2, 3):
            await self.turns()
            got.append(item)
        self.assertEqual(got, [1, 2, 3])
