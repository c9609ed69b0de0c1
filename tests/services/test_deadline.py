"""The deadlines of calls and of streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.services.streams import play
from xiaozhi.errors import ServiceError
from xiaozhi.services.deadline import Deadlines, timed, within


class WithinTests(SynchronousTestCase):
    """The deadline of a call."""

    def setUp(self) -> None:
        self.clock = Clock()

    def test_done(self) -> None:
        """What is done needs no timer."""
        self.assertEqual(self.successResultOf(within(1.0, succeed(5), self.clock)), 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """What is not is given up, though it be only another's result that it waits for."""
        for call in (Deferred(), succeed(None).addCallback(lambda _: Deferred())):
            waiting: Deferred[Any] = within(1.0, call, self.clock, lambda failure, seconds: seconds)
            self.clock.advance(0.9)
            self.assertNoResult(waiting)
            self.clock.advance(0.1)
            self.assertEqual(self.successResultOf(waiting), 1.0)


class TimedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.steps: list[Any] = []
        self.log: list[Any] = []

    def later(self) -> Deferred[None]:
        """Make the stream wait here."""
        self.steps.append(Deferred())
        waiting: Deferred[None] = self.steps[-1]
        return waiting

    async def stream(self) -> AsyncGenerator[Any, None]:
        try:
            async with aclosing(play(self.steps)) as steps:
                async for step in steps:
                    yield step
        finally:
            self.log.append("closing")
            await succeed(None)
            self.log.append("closed")

    async def read(self, **times: float) -> None:
        deadlines = attrs.evolve(Deadlines(5, 2, 100), **times)
        async for item in timed(self.stream(), self.clock, "llm", deadlines):
            self.log.append(item)

    def start(self, **times: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self.read(**times))

    def check(self, *log: Any) -> None:
        """The stream has yielded this, is closed, and no timer is left."""
        self.assertEqual(self.log, [*log, "closing", "closed"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def fails(self, result: Deferred[None], why: str) -> None:
        error = self.failureResultOf(result, ServiceError).value
        self.assertEqual((error.stage, error.why), ("llm", why))

    def test_all(self) -> None:
        """What the stream yields is yielded."""
        self.steps = [1, None, 3]
        self.successResultOf(self.start())
        self.check(1, None, 3)

    def test_nothing(self) -> None:
        """A stream of nothing is one."""
        self.successResultOf(self.start())
        self.check()

    def test_in_time(self) -> None:
        """Each wait has its own deadline."""
        first = self.later()
        self.steps.append(1)
        second = self.later()
        self.steps.append(2)
        third = self.later()
        result = self.start()
        for waiting, seconds in ((first, 4.9), (second, 1.9), (third, 1.9)):
            self.clock.advance(seconds)
            self.assertNoResult(result)
            waiting.callback(None)
        self.successResultOf(result)
        self.check(1, 2)

    def test_no_answer(self) -> None:
        """A first item that is late is a ServiceError; the stream is closed."""
        self.later()
        result = self.start()
        self.clock.advance(4.9)
        self.assertNoResult(result)
        self.clock.advance(0.2)
        self.fails(result, "no answer within 5 s")
        self.check()

    def test_stalled(self) -> None:
        """A later item that is late is a ServiceError; what came before was yielded."""
        self.steps = [1]
        self.later()
        result = self.start(gap=2.5)
        self.clock.advance(2.6)
        self.fails(result, "stalled for 2.5 s")
        self.check(1)

    def test_stalled_at_the_end(self) -> None:
        """A stream that does not end is stalled, too, while it cleans up for too long."""
        self.steps = [1, 2]
        self.later()
        result = self.start()
        self.clock.advance(2)
        self.fails(result, "stalled for 2 s")
        self.check(1, 2)

    def test_without_end(self) -> None:
        """A stream that goes on and on, in time each time, is ended all the same."""
        waits = []
        for number in range(9):
            waits.append(self.later())
            self.steps.append(number)
        result = self.start(whole=6)
        for waiting in waits[:3]:
            self.clock.advance(1.9)
            self.assertNoResult(result)
            waiting.callback(None)
        self.clock.advance(0.4)
        self.fails(result, "not done within 6 s")
        self.check(0, 1, 2)

    def test_slow_reader(self) -> None:
        """The time that the reader takes does not count."""
        self.steps = [1, 2]
        pause: Deferred[None] = Deferred()

        async def read() -> None:
            async for item in timed(self.stream(), self.clock, "llm", Deadlines(5, 2, 60)):
                self.log.append(item)
                await pause

        result = Deferred.fromCoroutine(read())
        self.clock.advance(100)
        self.assertNoResult(result)
        pause.callback(None)
        self.successResultOf(result)
        self.check(1, 2)

    def test_error(self) -> None:
        """An error of the stream goes through."""
        self.steps = [1, ServiceError("llm", "broken")]
        self.fails(self.start(), "broken")
        self.check(1)

    def test_other_error(self) -> None:
        """An error that is our own goes through as it is."""
        self.steps = [KeyError("bug")]
        self.failureResultOf(self.start(), KeyError)
        self.check()

    def test_cancel(self) -> None:
        """Cancelling reaches what the stream waits for, and closes the stream."""
        self.steps = [Deferred(lambda _: self.log.append("cancelled"))]
        result = self.start()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.check("cancelled")

    def test_close(self) -> None:
        """Closing after an item closes the stream."""
        self.steps = [1, 2]

        async def read() -> None:
            async with aclosing(
                timed(self.stream(), self.clock, "llm", Deadlines(5, 2, 60))
            ) as items:
                self.log.append(await anext(items))

        self.successResultOf(Deferred.fromCoroutine(read()))
        self.check(1)
