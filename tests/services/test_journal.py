"""Memories on their way into the store."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.websocket import FakeStore
from xiaozhi.errors import ServiceError
from xiaozhi.services import journal
from xiaozhi.services.counters import Counters
from xiaozhi.services.journal import Journal
from xiaozhi.services.store.records import Entry, SessionMemory


def memory(number: int, text: str = "hello") -> SessionMemory:
    return SessionMemory(
        session_id=f"s{number}",
        device_id="d",
        began=1.0,
        ended=2.0,
        entries=(Entry("user", text), Entry("assistant", "你好")),
    )


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = FakeStore()
        self.counters = Counters()
        self.folder = Path(self.mktemp())
        self.journal = self.begin()

    def begin(self) -> Journal:
        """Start a journal, as a process does; the one before may have been killed."""
        made = Journal(self.folder, self.store, self.counters, self.clock)
        made.startService()
        self.addCleanup(made.stopService)
        return made

    def pages(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    def stored(self) -> list[str]:
        return sorted(self.store.memories)


class Keeping(Case):
    def test_written_at_once(self) -> None:
        """A memory is in the file when `add` returns, and in the store a moment later."""
        self.journal.add(memory(1))
        (page,) = self.pages()
        self.assertEqual(msgspec.json.decode(page.read_bytes(), type=SessionMemory), memory(1))
        self.assertEqual(self.stored(), [])
        self.clock.advance(0)
        self.assertEqual(self.store.memories, {"s1": memory(1)})
        self.assertEqual(self.pages(), [])

    def test_one_write(self) -> None:
        """Each memory is one write, so that a kill tears none that was acknowledged."""
        writes: list[bytes] = []
        write = os.write

        def watch(descriptor: int, data: bytes) -> int:
            writes.append(data)
            return write(descriptor, data)

        self.patch(os, "write", watch)
        for number in range(3):
            self.journal.add(memory(number))
        self.assertEqual([line.count(b"\n") for line in writes], [1, 1, 1])

    def test_fast(self) -> None:
        """A close does not wait for it: a memory is written well within a millisecond."""
        self.journal.add(memory(0))
        text = "A sentence of usual length. " * 20
        took = []
        for number in range(200):
            began = time.perf_counter()
            self.journal.add(memory(number, text))
            took.append(time.perf_counter() - began)
        self.assertLess(sorted(took)[100], 0.001)

    def test_killed(self) -> None:
        """What a process that was killed left behind, the next one stores."""
        self.store.failure = ServiceError("store", "it is busy")
        for number in range(5):
            self.journal.add(memory(number))
            self.clock.advance(0)
        self.store.failure = None
        self.begin().add(memory(5))
        self.clock.advance(0)
        self.assertEqual(self.stored(), [f"s{number}" for number in range(6)])
        self.assertEqual(self.pages(), [])

    def test_moved(self) -> None:
        """Who waits is told when the store has all there is, or takes nothing."""
        self.successResultOf(self.journal.moved())
        self.journal.add(memory(1))
        moved = self.journal.moved()
        self.assertNoResult(moved)
        self.clock.advance(0)
        self.successResultOf(moved)
        self.store.failure = ServiceError("store", "it is busy")
        self.journal.add(memory(2))
        refused = self.journal.moved()
        self.clock.advance(0)
        self.successResultOf(refused)
        self.successResultOf(self.journal.moved())

    def test_store_comes_back(self) -> None:
        """While the store fails, memories wait and are tried again, ever more seldom."""
        self.store.failure = ServiceError("store", "it is busy")
        self.journal.add(memory(1))
        self.clock.pump([0.5] * 100)
        self.assertLess(self.store.asked, 8)
        self.store.failure = None
        self.clock.advance(60)
        self.assertEqual((self.stored(), self.pages()), (["s1"], []))

    def test_one_that_is_never_taken(self) -> None:
        """A memory the store will not have holds up no other."""
        remember = self.store.remember

        def choosy(given: SessionMemory) -> object:
            self.store.failure = (
                ServiceError("store", "never") if given.session_id == "s1" else None
            )
            return remember(given)

        self.patch(self.store, "remember", choosy)
        self.journal.add(memory(1))
        self.clock.advance(0)
        for number in (2, 3):
            self.journal.add(memory(number))
            self.clock.pump([1.0] * 65)
        self.assertEqual(self.stored(), ["s2", "s3"])
        self.assertEqual(len(self.pages()), 1)

    def test_stopping(self) -> None:
        """What is added while the server stops is there at the next start."""
        self.store.dead = True
        self.journal.add(memory(1))
        self.clock.advance(0)
        self.journal.stopService()
        self.journal.add(memory(2))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.store.dead = False
        self.begin()
        self.clock.advance(0)
        self.assertEqual(self.stored(), ["s1", "s2"])


class Damage(Case):
    def test_lines(self) -> None:
        """Damaged lines are skipped and said; the others count."""
        lines = [msgspec.json.encode(memory(number)) for number in range(3)]
        page = self.folder / "000000000007.jsonl"
        page.write_bytes(b"\n".join([lines[0], b"\xff\0{", b'{"a":1}', lines[1], lines[2][:-9]]))
        (self.folder / "notes.txt").write_text("not ours")
        self.begin()
        self.clock.advance(0)
        self.assertEqual(self.stored(), ["s0", "s1"])
        self.assertEqual([path.name for path in self.pages()], ["notes.txt"])

    def test_disk_full(self) -> None:
        """What does not fit on the disk is lost and said, and tears nothing else."""
        self.store.dead = True
        self.journal.add(memory(1))
        write = os.write
        self.patch(os, "write", lambda fd, data: write(fd, data[:20]))
        self.journal.add(memory(2))
        self.patch(os, "write", write)
        self.journal.add(memory(3))
        self.assertEqual(self.counters.value("memories_lost"), 1)
        self.store.dead = False
        self.begin()
        self.clock.advance(0)
        self.assertEqual(self.stored(), ["s1", "s3"])

    def test_no_folder(self) -> None:
        """A folder that cannot be written to costs the memory, not the server."""
        self.folder.rmdir()
        self.journal.add(memory(1))
        self.assertEqual(self.counters.value("memories_lost"), 1)


class Bounds(Case):
    def test_pages(self) -> None:
        """The journal takes so much and no more; all it took is stored in the end."""
        self.patch(journal, "PAGES", 3)
        self.patch(journal, "PAGE", 1000)
        self.store.dead = True
        for number in range(40):
            self.journal.add(memory(number))
        lost = int(self.counters.value("memories_lost"))
        self.assertEqual(len(self.pages()), 3)
        self.assertLess(max(page.stat().st_size for page in self.pages()), 1001)
        self.assertGreater(lost, 10)
        self.store.dead = False
        self.begin()
        self.clock.pump([0] * 10)
        self.assertEqual(len(self.stored()), 40 - lost)

    def test_too_long(self) -> None:
        """One memory is not longer than a page."""
        self.journal.add(memory(1, "x" * journal.PAGE))
        self.assertEqual((self.pages(), self.counters.value("memories_lost")), ([], 1))
