"""The memory in use, whatever engine it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.memory import FORGETTING, RECALLING, Desk, Memories, Nothing, none
from xiaozhi.services.store import Fact, Recollection, SessionMemory

KNOWN = Recollection((Fact("likes tea", 1.0),))
TOLD = SessionMemory(session_id="s", device_id="d", began=1.0, ended=2.0, entries=())


class FakeMemory(Service):
    """Answers as it is told to, and is a service."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    def _tell(self, *asked: Any) -> Deferred[Any]:
        self.asked.append(asked)
        if isinstance(self.answer, Deferred):
            return self.answer
        if isinstance(self.answer, ServiceError):
            return fail(self.answer)
        if isinstance(self.answer, Exception):
            raise self.answer
        return succeed(self.answer)

    recall = learn = forget = _tell


class FakeStore:
    """Has three things said by each device, a second after another."""

    def __init__(self) -> None:
        self.erased: list[str] = []

    def erase(self, device_id: str, gone: Callable[[str, float], bool]) -> Deferred[int]:
        found = [word for at, word in enumerate(("tea", "dogs", "Bonn")) if gone(word, float(at))]
        self.erased += found
        return succeed(len(found))


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.written: Deferred[None] = succeed(None)
        self.store = FakeStore()
        self.memories = Memories(self.clock, self.store, lambda: self.written)
        self.memories.startService()
        self.addCleanup(self.memories.stopService)

    def by(self, answer: Any) -> FakeMemory:
        memory = FakeMemory(answer)
        self.memories.use(memory)
        return memory


class InUse(Case):
    def test_none(self) -> None:
        """Without a memory nothing is known, and nothing fails."""
        for _ in range(2):
            self.assertEqual(self.successResultOf(self.memories.recall("d")), Recollection())
            self.assertIsNone(self.successResultOf(self.memories.learn(TOLD)))
            self.assertEqual(self.successResultOf(self.memories.forget("d")), 3)
            self.memories.use(none.Memory(none.Settings(), Mock(Desk)))

    def test_told(self) -> None:
        """What it is asked goes to the engine, and comes back."""
        memory = self.by(KNOWN)
        self.assertEqual(self.successResultOf(self.memories.recall("d")), KNOWN)
        self.successResultOf(self.memories.learn(TOLD, final=True))
        memory.answer = 4
        self.assertEqual(self.successResultOf(self.memories.forget("d", 5.0, "tea")), 4)
        self.assertEqual(memory.asked, [("d",), (TOLD, True), ("d", 5.0, "tea")])

    def test_replaced(self) -> None:
        """An engine that is a service lives as long as it is in use."""
        first = self.by(KNOWN)
        self.assertTrue(first.running)
        self.memories.use(first)
        second = self.by(Recollection())
        self.assertEqual((first.running, second.running), (0, 1))
        self.memories.use(Nothing())
        self.assertFalse(second.running)

    def test_fails(self) -> None:
        """Where nothing can be recalled an answer is made without; that is said once."""
        self.by(ServiceError("store", "locked"))
        for _ in range(2):
            self.assertEqual(self.successResultOf(self.memories.recall("d")), Recollection())
        failed = self.failureResultOf(self.memories.forget("d"), ServiceError)
        self.assertEqual(failed.value.why, "locked")

    def test_slow(self) -> None:
        """An answer does not wait long for it."""
        self.by(Deferred())
        known = self.memories.recall("d")
        self.clock.advance(RECALLING)
        self.assertEqual(self.successResultOf(known), Recollection())

    def test_mistake(self) -> None:
        """Whatever an engine of somebody else's does wrong is a failure like any other."""
        self.by(ZeroDivisionError("oops"))
        self.assertEqual(self.successResultOf(self.memories.recall("d")), Recollection())
        self.failureResultOf(self.memories.learn(TOLD), ServiceError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class Forgetting(Case):
    def test_words(self) -> None:
        """The words of sessions are erased, too, whatever the memory is, or none."""
        self.by(7)
        for since, about, words in (
            (None, "", 3),
            (1.0, "", 2),
            (None, "a dog", 1),
            (2.0, "dog", 0),
        ):
            forgotten = self.successResultOf(self.memories.forget("d", since, about))
            self.assertEqual(forgotten, words + 7)
        self.memories.use(Nothing())
        self.assertEqual(self.successResultOf(self.memories.forget("d", 2.0)), 1)
        self.assertEqual(self.store.erased[-1], "Bonn")

    def test_what_is_on_its_way(self) -> None:
        """What is not in the store yet is waited for, or it would come after; not for ever."""
        memory = self.by(3)
        self.written = Deferred()
        forgotten = self.memories.forget("d")
        self.assertEqual(memory.asked, [])
        self.written.callback(None)
        self.assertEqual(self.successResultOf(forgotten), 6)
        self.written = Deferred()
        late = self.memories.forget("d")
        self.clock.advance(FORGETTING)
        self.failureResultOf(late, ServiceError)
