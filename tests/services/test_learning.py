"""Learning from sessions in the background."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.learning import BATCH, OLD, PAUSES, REST, SETTLING, STORE_REST, Learning
from xiaozhi.services.store import SessionMemory

FAILS = ServiceError("llm", "all are down")


def session(number: int, ended: float = 0.0) -> SessionMemory:
    return SessionMemory(
        session_id=f"s{number}", device_id="d", began=ended - 9, ended=ended, entries=()
    )


class FakeShelf:
    """Sessions to learn from, in order."""

    def __init__(self, count: int) -> None:
        self.waiting = {f"s{number}": session(number) for number in range(count)}
        self.failure: ServiceError | None = None
        self.asked = 0

    def unlearnt(self, limit: int) -> Deferred[list[SessionMemory]]:
        self.asked += 1
        if self.failure is not None:
            return fail(self.failure)
        return succeed(list(self.waiting.values())[:limit])

    def learnt(self, memory: SessionMemory, now: float) -> Deferred[bool]:
        return succeed(self.waiting.pop(memory.session_id, None) is not None)


class FakeMemory:
    """Learns as it is told to."""

    def __init__(self) -> None:
        self.learnt: list[tuple[str, bool]] = []
        self.failure: ServiceError | None = None
        self.pending: Deferred[None] | None = None
        self.cancelled = 0

    def learn(self, memory: SessionMemory, final: bool = False) -> Deferred[None]:
        self.learnt.append((memory.session_id, final))
        if self.failure is not None and not final:
            return fail(self.failure)
        if self.pending is not None:
            return self.pending
        return succeed(None)


class Case(SynchronousTestCase):
    count = 3

    def setUp(self) -> None:
        self.clock = Clock()
        self.memory, self.shelf = FakeMemory(), FakeShelf(self.count)
        self.learning = self.begin()

    def begin(self) -> Learning:
        learning = Learning(self.memory, self.shelf, self.clock, self.clock.seconds)
        learning.startService()
        self.addCleanup(learning.stopService)
        return learning

    def add(self, number: int, **more: Any) -> None:
        """Have one more session be over."""
        self.shelf.waiting[f"s{number}"] = session(number, **more)
        self.learning.stir()
        self.clock.advance(0)


class Order(Case):
    count = BATCH + 3

    def test_all(self) -> None:
        """What an earlier process left is learnt a moment after the start, each once, in order."""
        self.assertEqual(self.memory.learnt, [])
        self.clock.advance(SETTLING)
        names = [f"s{number}" for number in range(self.count)]
        self.assertEqual(self.memory.learnt, [(name, False) for name in names])
        self.assertEqual(self.shelf.waiting, {})

    def test_new(self) -> None:
        """A session that is over is learnt from at once; then there is peace."""
        self.clock.advance(SETTLING)
        self.add(77)
        self.assertEqual(self.memory.learnt[-1], ("s77", False))
        asked = self.shelf.asked
        self.clock.advance(3600)
        self.assertEqual(self.shelf.asked, asked)

    def test_one_at_a_time(self) -> None:
        """While one is learnt from, the others wait, and those that come meanwhile."""
        self.memory.pending = Deferred()
        self.clock.advance(SETTLING)
        self.add(77)
        self.assertEqual(len(self.memory.learnt), 1)
        pending, self.memory.pending = self.memory.pending, None
        assert pending is not None
        pending.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.memory.learnt[-1], ("s77", False))
        self.assertEqual(len(self.memory.learnt), self.count + 1)

    def test_killed(self) -> None:
        """What was under way when the process ended is learnt by the next one."""
        self.memory.pending = Deferred(lambda _: None)
        self.clock.advance(SETTLING)
        self.learning.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.memory.pending = None
        self.learning = self.begin()
        self.clock.advance(SETTLING)
        self.assertEqual([name for name, _ in self.memory.learnt[:2]], ["s0", "s0"])
        self.assertEqual(self.shelf.waiting, {})

    def test_stopped(self) -> None:
        """What comes after the stop is left for the next start."""
        self.learning.stopService()
        self.add(77)
        self.clock.advance(3600)
        self.assertEqual(self.memory.learnt, [])


class Failing(Case):
    def fail_to_the_end(self) -> None:
        """Let the mind fail until the first session is learnt without it."""
        self.memory.failure = FAILS
        self.clock.advance(SETTLING)
        for pause in PAUSES:
            self.assertEqual(len(self.shelf.waiting), self.count)
            self.clock.advance(pause)

    def test_mind(self) -> None:
        """A mind that fails is asked again after pauses; then all is learnt without it, a while."""
        self.fail_to_the_end()
        first = [("s0", False)] * len(PAUSES) + [("s0", True)]
        self.assertEqual(self.memory.learnt, [*first, ("s1", True), ("s2", True)])
        self.assertEqual(self.shelf.waiting, {})
        self.memory.failure = None
        self.add(7, ended=self.clock.seconds())
        self.clock.advance(REST)
        self.add(8, ended=self.clock.seconds())
        self.assertEqual(self.memory.learnt[-2:], [("s7", True), ("s8", False)])

    def test_mind_is_back(self) -> None:
        """One that is back in time learns all."""
        self.memory.failure = FAILS
        self.clock.advance(SETTLING)
        self.memory.failure = None
        self.clock.advance(PAUSES[0])
        self.assertEqual([final for _, final in self.memory.learnt], [False] * 4)

    def test_old(self) -> None:
        """What has waited for a day is learnt without a mind."""
        self.clock.advance(OLD + 1)
        self.add(7, ended=0.0)
        self.add(8, ended=self.clock.seconds())
        self.assertEqual(self.memory.learnt[-2:], [("s7", True), ("s8", False)])

    def test_store(self) -> None:
        """While the store fails it is asked seldom."""
        self.shelf.failure = ServiceError("store", "locked")
        self.clock.advance(SETTLING)
        self.clock.advance(STORE_REST)
        self.assertEqual((self.shelf.asked, self.memory.learnt), (2, []))
        self.shelf.failure = None
        self.clock.advance(STORE_REST)
        self.assertEqual(len(self.memory.learnt), self.count)

    def test_hopeless(self) -> None:
        """A session that nothing can be learnt from holds nobody up."""

        def learn(memory: SessionMemory, final: bool = False) -> Deferred[None]:
            self.memory.learnt.append((memory.session_id, final))
            return fail(FAILS) if memory.session_id == "s0" else succeed(None)

        self.patch(self.memory, "learn", learn)
        self.clock.advance(SETTLING)
        for pause in PAUSES:
            self.clock.advance(pause)
        self.assertEqual(self.shelf.waiting, {})
        self.assertEqual(self.memory.learnt[-2:], [("s1", False), ("s2", False)])

    def test_store_at_the_end(self) -> None:
        """What cannot be written is tried again, and not given up."""
        self.memory.failure = ServiceError("store", "locked")
        self.patch(
            self.memory, "learn", lambda memory, final=False: fail(ServiceError("store", "locked"))
        )
        self.clock.advance(SETTLING)
        for _ in range(9):
            self.clock.advance(STORE_REST)
        self.assertEqual(len(self.shelf.waiting), self.count)
