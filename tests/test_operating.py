"""What an operator has the server do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import Here
from xiaozhi.errors import ConfigError
from xiaozhi.messages import Order
from xiaozhi.mistakes import words
from xiaozhi.operating import NOTICE, Operator, Process
from xiaozhi.scope import Scope, about
from xiaozhi.services.counters import Counters
from xiaozhi.services.sparing import EACH, WINDOW
from xiaozhi.services.systemd import Manager


class FakePlan:
    """Says that `changed` keys are changed, or what is wrong."""

    def __init__(self) -> None:
        self.changed: Sequence[str] = ("asr", "server.port")
        self.wrong: Exception | None = None
        self.wait: Deferred[None] = succeed(None)
        self.applied = 0
        self.secret = "sesame"

    def read(self, restart: bool = False) -> str:
        if self.wrong is not None:
            raise self.wrong
        return "prepared"

    async def apply(self, prepared: str) -> Sequence[str]:
        assert prepared == "prepared"
        await self.wait
        self.applied += 1
        return self.changed


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.plan = FakePlan()
        self.done: list[str] = []
        self.counters = Counters()
        self.hang_up: Callable[[], None]
        self.operator = self.make()

    def make(self, fixed: str = "") -> Operator:
        def on_hangup(call: Callable[[], None]) -> None:
            self.hang_up = call

        process = Process(
            lambda: self.done.append("stop"), lambda: self.done.append("anew"), on_hangup, fixed
        )
        here: Any = Here()
        operator = Operator(self.clock, here, Manager({}, 1), self.counters)
        operator.serve(self.plan, process)
        operator.startService()
        return operator

    def order(self, action: str, secret: str = "sesame") -> tuple[str, str]:
        answer = self.successResultOf(self.operator.obey(Order(action, secret)))
        self.assertEqual(answer.content, {"action": action})
        return answer.status, answer.message


class Secrets(Case):
    def test_wrong(self) -> None:
        """Who does not know the secret is refused, and that is counted and logged without it."""
        with capturedLogs() as events:
            self.assertEqual(self.order("restart", "open"), ("error", "the secret is wrong"))
        self.assertEqual(self.counters.value("orders_refused"), 1)
        self.assertNotIn("open", str(events))
        self.assertEqual(self.done, [])

    def test_flood(self) -> None:
        """Many guesses of a device are few lines, and a sum; each is counted."""
        with capturedLogs() as events, about(Scope("s1", "aa:bb")):
            for _ in range(1000):
                self.order("restart", "open")
        self.assertEqual(len(events), EACH)
        with capturedLogs() as events:
            self.clock.advance(WINDOW)
        self.assertEqual([formatEvent(e) for e in events], ["refused 990 more orders of aa:bb"])
        self.assertEqual(self.counters.value("orders_refused"), 1000)
        self.order("restart", "open")
        self.operator.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_none(self) -> None:
        """Without a secret nobody is obeyed, not even who says none."""
        self.plan.secret = ""
        self.assertEqual(self.order("update_config", "")[0], "error")

    def test_odd(self) -> None:
        """A secret of any characters is only wrong."""
        self.assertEqual(self.order("restart", "密\ud800")[0], "error")
        self.assertNotIn("sesame", repr(Order("restart", "sesame")))

    def test_unknown(self) -> None:
        """What is not known is answered, too."""
        self.assertEqual(self.order("dance"), ("error", "unknown action"))


class Reload(Case):
    def test_done(self) -> None:
        """What is changed is told, and what takes effect later."""
        told = "changed: asr; in effect after a restart: server.port"
        self.assertEqual(self.order("update_config"), ("success", told))
        self.plan.changed = ()
        self.assertEqual(self.order("update_config"), ("success", "changed: nothing"))

    def test_wrong(self) -> None:
        """A wrong configuration changes nothing; what is wrong is told, with its line."""
        why = "x.yaml:3: server.port: must be a number"
        self.plan.wrong = ConfigError([words("other", why=why)])
        status, message = self.order("update_config")
        self.assertEqual((status, message), ("error", why))
        self.hang_up()
        self.assertEqual(self.plan.applied, 0)

    def test_our_fault(self) -> None:
        """A fault of ours is answered and logged."""
        self.plan.wrong = ZeroDivisionError()
        self.assertEqual(self.order("update_config"), ("error", "it could not be done"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_hangup(self) -> None:
        """SIGHUP is another way to say it."""
        self.operator._terminal = False
        self.hang_up()
        self.assertEqual((self.plan.applied, self.done), (1, []))

    def test_one_at_a_time(self) -> None:
        """A second one waits for the first; a stop gives both up."""
        first = self.plan.wait = Deferred()
        answers = [self.operator.obey(Order("update_config", "sesame")) for _ in range(2)]
        self.assertNoResult(answers[0])
        self.plan.wait = Deferred()
        first.callback(None)
        self.assertEqual(self.successResultOf(answers[0]).status, "success")
        self.assertNoResult(answers[1])
        self.operator.stopService()
        self.assertEqual(self.successResultOf(answers[1]).status, "error")
        self.assertEqual(self.plan.applied, 1)


class Restart(Case):
    def test_done(self) -> None:
        """The answer comes first, the restart a second later, and once."""
        for _ in range(2):
            self.assertEqual(self.order("restart"), ("success", "the server begins anew"))
        self.clock.advance(NOTICE - 0.1)
        self.assertEqual(self.done, [])
        self.clock.advance(0.1)
        self.assertEqual(self.done, ["anew"])

    def test_wrong(self) -> None:
        """What could not start again is not stopped."""
        self.plan.wrong = ConfigError([words("other", why="x.yaml:3: no")])
        self.assertEqual(self.order("restart"), ("error", "x.yaml:3: no"))
        self.plan.wrong = None
        self.operator = self.make(fixed="in a chroot")
        self.assertEqual(self.order("restart"), ("error", "in a chroot"))
        self.clock.advance(5)
        self.assertEqual(self.done, [])

    def test_stop_comes_first(self) -> None:
        """A stop before that is a stop."""
        self.order("restart")
        self.operator.stopService()
        self.clock.advance(5)
        self.assertEqual(self.done, [])
