"""The list of engines of one kind: who is asked, who rests, who is back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.services.streams import collect, play
from xiaozhi.errors import Absent, Refused, ServiceError
from xiaozhi.services.counters import Counters
from xiaozhi.services.deadline import Deadlines
from xiaozhi.services.roster import LAST_RESORT, LONGEST, PATIENCE, UNABLE, Member, Roster

GONE = ServiceError("llm", "gone")


class Engine(Service):
    """Yields its `script`; probes end as `health` says, or when it is fired."""

    def __init__(self, *script: Any, languages: Collection[str] = ("*",)) -> None:
        self.script: tuple[Any, ...] = script
        self.languages = languages
        self.asked = 0
        self.warmed = 0
        self.probed: list[float] = []
        self.health: Any = GONE

    def warm(self) -> None:
        self.warmed += 1


class Engines(Roster[Engine]):
    stage = "llm"
    title = "engine"

    async def probe(self, engine: Engine) -> None:
        engine.probed.append(self.reactor.seconds())
        if isinstance(engine.health, Exception):
            raise engine.health
        await engine.health


class RosterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def roster(self, *engines: Engine) -> Engines:
        named = [(f"e{number}", engine) for number, engine in enumerate(engines)]
        roster = Engines(named, self.clock, Deadlines(5, 2, 60))
        roster.startService()
        self.addCleanup(roster.stopService)
        return roster

    def asking(self, roster: Engines, **order: Any) -> Deferred[list[str]]:
        """Ask the list."""

        async def attempt(member: Member[Engine]) -> AsyncGenerator[str, None]:
            member.engine.asked += 1
            async with aclosing(play(member.engine.script)) as steps:
                async for step in steps:
                    yield step

        answer = roster.stream(roster.order(**order), attempt)
        return Deferred.fromCoroutine(collect(answer))

    def ask(self, roster: Engines, **order: Any) -> list[str]:
        """Ask the list; give what was answered."""
        return self.successResultOf(self.asking(roster, **order))

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.5)):
            self.clock.advance(0.5)

    def test_rests(self) -> None:
        """One that failed is passed over from then on, at no cost."""
        broken, well = Engine(GONE), Engine("yes")
        roster = self.roster(broken, well)
        for _ in range(3):
            self.assertEqual(self.ask(roster), ["yes"])
        self.assertEqual((broken.asked, well.asked), (1, 3))

    def test_probes(self) -> None:
        """It is probed after a second, two, four, up to a minute, until it is well: then asked."""
        broken = Engine(GONE)
        roster = self.roster(broken, Engine("second"))
        self.ask(roster)
        self.advance(200)
        times = [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0]
        self.assertEqual(broken.probed, times)
        self.assertEqual(times[-1] - times[-2], LONGEST)
        broken.health, broken.script = succeed(None), ("first",)
        self.advance(LONGEST)
        self.assertEqual(self.ask(roster), ["first"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_asks_to_be_left_alone(self) -> None:
        """One that says how long it wants to rest is not probed before."""
        broken = Engine(ServiceError("llm", "HTTP 429", rest=20.0))
        self.ask(self.roster(broken, Engine("yes")))
        self.advance(19.5)
        self.assertEqual(broken.probed, [])
        self.advance(1)
        self.assertEqual(len(broken.probed), 1)

    def test_lying_probe(self) -> None:
        """One that is well for probes, and not for users, rests longer every time."""
        broken = Engine(GONE)
        broken.health = succeed(None)
        roster = self.roster(broken, Engine("yes"))
        for pause in (1, 2, 4):
            before = len(broken.probed)
            self.ask(roster)
            self.advance(pause - 0.5)
            self.assertEqual(len(broken.probed), before)
            self.advance(0.5)
            self.assertEqual(len(broken.probed), before + 1)

    def test_probe_without_end(self) -> None:
        """A probe that does not come back counts as failed."""
        broken = Engine(GONE)
        broken.health = Deferred()
        roster = self.roster(broken, Engine("yes"))
        self.ask(roster)
        self.advance(1 + PATIENCE)
        self.assertEqual(len(broken.probed), 1)
        self.advance(2)
        self.assertEqual(len(broken.probed), 2)

    def test_probe_with_a_mistake(self) -> None:
        """A mistake of ours in a probe is logged, and does not end the probing."""
        broken = Engine(GONE)
        broken.health = ZeroDivisionError()
        self.ask(self.roster(broken, Engine("yes")))
        self.advance(3)
        self.assertEqual(len(broken.probed), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_mistake(self) -> None:
        """An engine with a mistake of its own failed: it is not hidden, but another takes over."""
        broken = Engine(ZeroDivisionError())
        roster = self.roster(broken, Engine("yes"))
        for _ in range(2):
            self.assertEqual(self.ask(roster), ["yes"])
        self.assertEqual(broken.asked, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        alone = self.asking(self.roster(Engine("half", ZeroDivisionError())))
        self.failureResultOf(alone, ServiceError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_last_resort(self) -> None:
        """Where all rest they are asked all the same, with less time; what works is well again."""
        broken = Engine(GONE)
        roster = self.roster(broken)
        self.failureResultOf(self.asking(roster), ServiceError)
        (member,) = roster.members
        self.assertEqual(roster.patience(member).first, LAST_RESORT)
        broken.script = ("back",)
        self.assertEqual(self.ask(roster), ["back"])
        self.assertEqual(roster.patience(member).first, 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])  # nor is it probed any more

    def test_order(self) -> None:
        """Able and well, able and resting, and only then those who cannot do it."""
        first, second, third = Engine(GONE), Engine("2"), Engine("3", languages=())
        roster = self.roster(third, first, second)

        def rank(engine: Engine) -> int:
            return 0 if engine.languages else UNABLE

        self.assertEqual(self.ask(roster, rank=rank), ["2"])
        second.script = (GONE,)
        self.assertEqual(self.ask(roster, rank=rank), ["3"])
        self.assertEqual((first.asked, second.asked, third.asked), (2, 2, 1))

    def test_no_fault(self) -> None:
        """One that is absent, or refuses this one request, is asked again the next time."""
        for error in (Absent("llm", "not there"), Refused("llm", "too long")):
            engine = Engine(error)
            roster = self.roster(engine, Engine("yes"))
            self.ask(roster)
            self.ask(roster)
            self.assertEqual(engine.asked, 2)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refuses_everything(self) -> None:
        """One that refuses three times in a row is not well; in between it may do its work."""
        engine = Engine()
        roster = self.roster(engine, Engine("yes"))
        no = Refused("llm", "bad key, bad request")
        for script in ((no,), (no,), ("well",), (no,), (no,), (no,), (no,)):
            engine.script = script
            self.ask(roster)
        self.assertEqual(engine.asked, 6)

    def test_refused_and_failed(self) -> None:
        """One that refused something and then fails is ill, like any other."""
        engine = Engine(Refused("llm", "too long"))
        roster = self.roster(engine, Engine("yes"))
        self.ask(roster)
        engine.script = (GONE,)
        self.ask(roster)
        self.assertFalse(roster.members[0].fit)
        self.ask(roster)
        self.assertEqual(engine.asked, 2)

    def test_log(self) -> None:
        """A failure is said once and counted, and that it works again once more."""
        broken = Engine(GONE)
        roster = self.roster(broken, Engine("yes"))
        with capturedLogs() as logs:
            self.ask(roster)
            self.ask(roster)
            self.advance(8)
            broken.health, broken.script = succeed(None), ("back",)
            self.advance(8)
            self.ask(roster)
        told = [(event["log_level"], event["name"]) for event in logs]
        self.assertEqual(told, [(LogLevel.warn, "e0"), (LogLevel.info, "e0")])
        self.assertEqual([member.failures for member in roster.members], [1, 0])

    def test_absence_is_no_warning(self) -> None:
        """That something is not there is said, but warns nobody."""
        with capturedLogs() as logs:
            self.ask(self.roster(Engine(Absent("llm", "no")), Engine("yes")))
        self.assertEqual([event["log_level"] for event in logs], [LogLevel.info])

    def test_measured(self) -> None:
        """The metrics tell how each engine does, and how long its first result took."""
        broken, well = Engine(GONE), Engine("yes", "indeed")
        roster, counters = self.roster(broken, well), Counters()
        roster.measure(counters)
        self.ask(roster)
        self.ask(roster)
        told = {
            name: dict(counters.values(name))
            for name in ("engine_requests", "engine_failures", "engine_fit")
        }
        self.assertEqual(told["engine_requests"], {("llm", "e1"): 2})
        self.assertEqual(told["engine_failures"], {("llm", "e0"): 1, ("llm", "e1"): 0})
        self.assertEqual(told["engine_fit"], {("llm", "e0"): 0, ("llm", "e1"): 1})
        first = dict(counters.spreads("engine_first_result"))
        self.assertEqual(sum(first["llm", "e1"].counts), 2)

    def test_able(self) -> None:
        """A list can serve as long as one is fit and there; what refuses once is both."""
        for script, able in (
            (("yes",), True),
            ((GONE,), False),
            ((Absent("llm", "not there"),), False),
            ((Refused("llm", "too long"),), True),
        ):
            engine = Engine(*script)
            roster = self.roster(engine)
            self.assertTrue(roster.able)
            asking = self.asking(roster)
            asking.addErrback(lambda failure: failure.trap(ServiceError))
            self.assertEqual(roster.able, able, script)
            if isinstance(script[0], Absent):
                self.advance(LONGEST)
                self.assertTrue(roster.able)
            engine.script, engine.health = ("back",), succeed(None)
            self.ask(roster)
            self.assertTrue(roster.able)

    def test_warm(self) -> None:
        """Who will answer gets ready, if it knows how to."""
        for error in (GONE, Absent("llm", "not there")):
            first, second = Engine(error), Engine("yes")
            roster = self.roster(first, second)
            roster.warm()
            self.ask(roster)
            roster.warm()
            self.assertEqual((first.warmed, second.warmed), (1, 1))

    def test_first(self) -> None:
        """Whoever is preferred is asked first, in that order, if it can and is fit."""
        able, first, second = Engine("able"), Engine("first"), Engine("second")
        roster = self.roster(able, second)
        roster.replace([("e0", able), ("e1", second)], [("g0", first)])
        preferred = [*roster.guests, roster.members[1]]

        def rank(engine: Engine) -> int:
            return UNABLE if engine.languages == ("fr",) else int(engine is not able)

        self.assertEqual(self.ask(roster, rank=rank), ["able"])
        self.assertEqual(self.ask(roster, rank=rank, first=preferred), ["first"])
        roster.warm(preferred)
        self.assertEqual((first.warmed, able.warmed), (1, 0))
        first.languages = ("fr",)
        self.assertEqual(self.ask(roster, rank=rank, first=preferred), ["second"])
        roster.failed(preferred[1], GONE)
        self.assertEqual(self.ask(roster, rank=rank, first=preferred), ["able"])
        self.assertEqual([member.name for member in roster.order(rank)], ["e0", "e1"])

    def test_guests(self) -> None:
        """A guest lives, rests, is probed and is measured like a member; others never ask it."""
        usual, guest = Engine(GONE), Engine(GONE)
        roster, counters = self.roster(usual), Counters()
        roster.measure(counters)
        roster.replace([("e0", usual)], [("g0", guest)])
        (member,) = roster.guests
        self.asking(roster).addErrback(lambda failure: failure.trap(ServiceError))
        self.assertEqual((guest.running, guest.asked), (1, 0))
        self.asking(roster, first=[member]).addErrback(lambda failure: failure.trap(ServiceError))
        self.assertEqual((guest.asked, member.fit, roster.able), (1, False, False))
        told = dict(counters.values("engine_fit"))
        self.assertEqual(told, {("llm", "e0"): 0, ("llm", "g0"): 0})
        guest.health = succeed(None)
        self.advance(1)
        self.assertEqual((member.fit, roster.able, guest.probed), (True, False, [1.0]))
        roster.replace([("e0", usual)])
        self.assertEqual((guest.running, roster.guests), (0, ()))
        self.assertEqual(list(dict(counters.values("engine_fit"))), [("llm", "e0")])

    def test_stop(self) -> None:
        """Stopping ends engines, timers and probes."""
        resting, probed = Engine(GONE), Engine(GONE)
        probed.health = Deferred()
        roster = self.roster(resting, probed, Engine("yes"))
        self.ask(roster)
        self.advance(1)
        roster.stopService()
        self.assertFalse(resting.running)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_replace(self) -> None:
        """Another list takes over; who stays keeps its state, who goes is ended."""
        stays, goes, comes = Engine("a"), Engine("b"), Engine("c")
        roster = self.roster(goes, stays)
        roster.failed(roster.members[1], GONE)
        roster.replace([("e2", comes), ("e1", stays)])
        self.assertEqual([member.name for member in roster.members], ["e2", "e1"])
        self.assertEqual([engine.running for engine in (stays, goes, comes)], [1, 0, 1])
        self.assertFalse(roster.members[1].fit)
        self.assertEqual(self.ask(roster), ["c"])

    def test_last_user(self) -> None:
        """An engine that is in the list no more serves its user to the end, and ends then."""
        rest: Deferred[None] = Deferred()
        goes = Engine("a", rest, "b")
        roster = self.roster(goes)
        answer = self.asking(roster)
        roster.replace([])
        self.assertEqual(goes.running, 1)
        rest.callback(None)
        self.assertEqual(self.successResultOf(answer), ["a", "b"])
        self.assertEqual(goes.running, 0)

    def test_failing_as_it_goes(self) -> None:
        """One that fails after it was taken off the list is not probed any more."""
        rest: Deferred[None] = Deferred()
        goes = Engine(rest)
        roster = self.roster(goes)
        answer = self.asking(roster)
        roster.replace([])
        rest.errback(GONE)
        self.failureResultOf(answer, ServiceError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_settled(self) -> None:
        """The list is settled when each engine is that can tell."""
        loading: Any = Engine("a")
        loading.settled = lambda: waiting
        waiting: Deferred[None] = Deferred()
        roster = self.roster(Engine("b"), loading)
        settled = roster.settled()
        self.assertNoResult(settled)
        waiting.callback(None)
        self.successResultOf(settled)
