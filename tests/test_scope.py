"""Whose session it is: known in coroutines and timers, and nowhere else."""

from __future__ import annotations

import asyncio

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi._reactor import Reactor
from xiaozhi.scope import Scope, about, current

ONE, OTHER = Scope("s1", "A"), Scope("s2", "B")


class Scopes(SynchronousTestCase):
    def test_about(self) -> None:
        """It is known inside, and what was known before is known again after."""
        with about(ONE):
            with about(OTHER):
                self.assertEqual(current(), OTHER)
            self.assertEqual(current(), ONE)
            with about(None):
                self.assertIsNone(current())
        self.assertIsNone(current())

    def test_coroutine(self) -> None:
        """A coroutine knows whom it was begun for, whoever wakes it."""
        alarm: Deferred[None] = Deferred()

        async def work() -> Scope | None:
            await alarm
            return current()

        with about(ONE):
            done = Deferred.fromCoroutine(work())
        with about(OTHER):
            alarm.callback(None)
        self.assertEqual(self.successResultOf(done), ONE)

    def test_timers(self) -> None:
        """A timer knows whom it was set for, and one that was set for nobody knows nobody."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        reactor = Reactor(loop)
        seen: list[Scope | None] = []
        for delay, scope in ((0.002, None), (0.001, ONE), (0.003, OTHER), (0.004, None)):
            with about(scope):
                reactor.callLater(delay, lambda: seen.append(current()))
        with about(OTHER):
            reactor.callLater(0.005, loop.stop)
        loop.run_forever()
        self.assertEqual(seen, [ONE, None, OTHER, None])
