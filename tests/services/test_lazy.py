"""A thing made once, for all who wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.pool import Workers


class Slow:
    """A pool whose work is done when the test says so."""

    def __init__(self) -> None:
        self.works: list[Deferred[Any]] = []
        self.full = False

    def run(self, work: Callable[[], Any]) -> Deferred[Any]:
        if self.full:
            raise ServiceError("llm", "too much work is waiting")
        done: Deferred[Any] = Deferred()
        self.works.append(done)
        return done.addCallback(lambda _: work())


class LazyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = Slow()
        self.made = 0
        self.lazy = Lazy(cast(Workers, self.pool), self.make)

    def make(self) -> str:
        self.made += 1
        if self.made == 2:
            raise ServiceError("llm", "broken")
        return f"thing {self.made}"

    def test_once(self) -> None:
        """It is made once, for who asks before and after."""
        early = [self.lazy.get(), self.lazy.get()]
        self.pool.works[0].callback(None)
        for waiter in (*early, self.lazy.get()):
            self.assertEqual(self.successResultOf(waiter), "thing 1")
        self.assertEqual(len(self.pool.works), 1)

    def test_gives_up(self) -> None:
        """Who gives up does not stop the making."""
        waiter = self.lazy.get()
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        self.pool.works[0].callback(None)
        self.assertEqual(self.successResultOf(self.lazy.get()), "thing 1")

    def test_fails(self) -> None:
        """A failure is told to all who wait, and the next to ask tries again."""
        self.made = 1
        waiters = [self.lazy.get(), self.lazy.get()]
        self.pool.works[0].callback(None)
        for waiter in waiters:
            self.failureResultOf(waiter, ServiceError)
        again = self.lazy.get()
        self.pool.works[1].callback(None)
        self.assertEqual(self.successResultOf(again), "thing 3")

    def test_refused(self) -> None:
        """A pool that has no room is a failure of the one who asks."""
        self.pool.full = True
        self.failureResultOf(self.lazy.get(), ServiceError)
        self.pool.full = False
        self.assertNoResult(self.lazy.get())

    def test_drop(self) -> None:
        """What is dropped is made anew; what was in the making then is not kept."""
        self.assertIsNone(self.lazy.drop())
        waiter = self.lazy.get()
        self.assertIsNone(self.lazy.drop())
        self.pool.works[0].callback(None)
        self.assertEqual(self.successResultOf(waiter), "thing 1")
        self.made = 2
        again = self.lazy.get()
        self.pool.works[1].callback(None)
        self.assertEqual(self.successResultOf(again), "thing 3")
        self.assertEqual(self.lazy.drop(), "thing 3")
