"""The store in SQLite."""

from __future__ import annotations

import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.utils import getProcessOutput
from twisted.logger import capturedLogs

from tests.services.store import contract, reminders
from tests.services.store.contract import BADGE, NOON, StoreCase, memory
from xiaozhi.errors import Unavailable
from xiaozhi.services import store as stores
from xiaozhi.services.store import Store, database

PATIENCE = 0.2


class Sqlite(StoreCase):
    def place(self) -> Path:
        folder = Path(self.mktemp())
        folder.mkdir()
        return folder / "100% odd?#.db"


class SqliteDevices(Sqlite, contract.DevicesContract):
    pass


class SqliteActivation(Sqlite, contract.ActivationContract):
    pass


class SqliteTokens(Sqlite, contract.TokensContract):
    pass


class SqliteStanding(Sqlite, contract.StandingContract):
    pass


class SqliteMemories(Sqlite, contract.MemoriesContract):
    pass


class SqliteRecollections(Sqlite, contract.RecollectionsContract):
    pass


class SqliteReminders(Sqlite, reminders.RemindersContract):
    pass


class SqliteDatabase(Sqlite, contract.DatabaseContract):
    pass


class FileTests(Sqlite):
    """A database that is a file of ours."""

    at: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let another process write, and not come to an end."""
        with closing(sqlite3.connect(self.at, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")

    async def test_ours_alone(self) -> None:
        """Nobody else can read what was said."""
        await self.store.seen(BADGE, NOON)
        for path in self.at.parent.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path.name)

    async def test_durable(self) -> None:
        """What is acknowledged is on the disk, and a stopped store is one file."""
        await self.store.seen(BADGE, NOON)

        def pragma(base: database.Database, name: str) -> object:
            with base._engine.connect() as connection:
                return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        self.assertEqual(await self.store._do(lambda base: pragma(base, "synchronous")), 2)
        self.assertEqual(await self.store._do(lambda base: pragma(base, "journal_mode")), "wal")
        await self.store.stopService()
        self.assertEqual([path.name for path in self.at.parent.iterdir()], [self.at.name])

    async def test_erased(self) -> None:
        """Nothing of what was erased is left in the file."""
        await self.store.seen(BADGE, NOON)
        await self.store.remember(memory("s", NOON, "my secret " * 2000, "hello"))
        self.assertEqual(await self.store.erase(BADGE.id, lambda said, at: "secret" in said), 1)
        await self.store.stopService()
        self.assertNotIn(b"my secret", self.at.read_bytes())

    async def test_another_process(self) -> None:
        """Another process that looks and goes (a backup, a command) takes nothing away.

        The last to leave a database removes its log, so our locks must outlive new connections.
        """
        await self.store.seen(BADGE, NOON)
        together = threading.Barrier(2)

        def meet(base: database.Database) -> None:
            with base._engine.connect():
                together.wait(10)

        for met in [self.store._do(meet) for _ in range(2)]:
            await met
        look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        look += "print(*c.execute('SELECT name FROM devices').fetchone()); c.close()"
        for name in ("hall", "kitchen"):
            await self.store.rename(BADGE.id, name)
            seen = await getProcessOutput(
                sys.executable, ["-c", look, str(self.at.absolute())], errortoo=True
            )
            self.assertEqual(seen.decode().strip(), name)

    async def test_up_to_date(self) -> None:
        """A database that is up to date is opened without Alembic."""
        await self.store.seen(BADGE, NOON)
        self.patch(database, "migrate", lambda url: self.fail("it was migrated"))
        self.assertIsNotNone(await self.open().device(BADGE.id))

    async def test_url(self) -> None:
        """A URL may name the file."""
        self.at = self.at.with_name("by url.db").absolute()
        named = Store(reactor, f"sqlite:///{self.at}")
        named.startService()
        self.addCleanup(named.stopService)
        await named.ready()
        self.assertTrue(self.at.exists())

    async def test_locked(self) -> None:
        """While the database is locked, readers do not notice; writers are told soon."""
        store = self.open(PATIENCE)
        await store.seen(BADGE, NOON)
        with self.locked():
            self.assertIsNotNone(await store.device(BADGE.id))
            # Over and over: each gives its thread back.
            for _ in range(stores.THREADS + 1):
                why = await self.fails(store.block(BADGE.id, True, NOON))
                self.assertEqual(why, "database is locked")
        self.assertTrue(await store.block(BADGE.id, True, NOON))

    async def test_told_once(self) -> None:
        """A failing store is named once, and again when it works."""
        store = self.open(PATIENCE)
        await store.ready()
        with capturedLogs() as events, self.locked():
            for _ in range(2):
                await self.fails(store.seen(BADGE, NOON))
        with capturedLogs() as more:
            await store.seen(BADGE, NOON)
            await store.seen(BADGE, NOON)
        self.assertEqual([event["why"] for event in events], ["database is locked"])
        self.assertEqual([event["log_format"] for event in more], ["the store works again"])

    async def test_unusable(self) -> None:
        """A place that cannot be used is named; the store works as soon as it can be."""
        folder = self.at.with_name("later")
        self.at = folder / "x.db"
        store = self.open()
        self.assertEqual(await self.fails(store.ready()), f"{self.at}: No such file or directory")
        folder.mkdir()
        self.at.write_bytes(b"no database at all" * 500)
        self.assertEqual(await self.fails(store.ready()), "file is not a database")
        self.at.unlink()
        await store.seen(BADGE, NOON)

    def test_no_psycopg(self) -> None:
        """PostgreSQL without what speaks to it is refused, with what to install."""
        self.patch(stores, "_has_psycopg", lambda: False)
        with self.assertRaises(Unavailable) as caught:
            Store(reactor, "postgresql:///x")
        self.assertIn("xiaozhi[postgres]", str(caught.exception))


class MixedClock(Clock):
    """Time that the test tells, and the calls of threads in the real reactor."""

    callFromThread = staticmethod(reactor.callFromThread)  # type: ignore[attr-defined]


class HangingTests(Sqlite):
    """A database that never answers (a disk or a network that is gone)."""

    def setUp(self) -> Any:
        super().setUp()
        self.clock = MixedClock()
        self.hanging = self.open(2.0, self.clock)
        self.end = threading.Event()
        self.addCleanup(self.end.set)
        return self.hanging.ready()

    def hang(self) -> tuple[Deferred[None], Deferred[Any]]:
        """Make a call that hangs; tells when it has begun, and its result."""
        begun: Deferred[None] = Deferred()

        def work(_: Any) -> None:
            reactor.callFromThread(begun.callback, None)  # type: ignore[attr-defined]
            self.end.wait(10)

        return begun, self.hanging._do(work)

    async def test_patience(self) -> None:
        """Whoever waits is told in time, also for a thread; these are there again afterwards."""
        calls = [self.hang() for _ in range(stores.THREADS)]
        for begun, _ in calls:
            await begun
        verb = self.hanging.device(BADGE.id)
        self.clock.advance(1.9)
        self.assertNoResult(verb)
        self.clock.advance(0.2)
        for call in (verb, *(result for _, result in calls)):
            self.assertEqual(await self.fails(call), "no answer within 2 s")
        self.end.set()
        self.assertIsNone(await self.hanging.device(BADGE.id))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_stop(self) -> None:
        """Stopping does not wait for ever, and leaves nobody waiting."""
        begun, result = self.hang()
        await begun
        stopped = self.hanging.stopService()
        self.assertNoResult(stopped)
        self.clock.advance(2.1)
        await stopped
        self.assertEqual(await self.fails(result), "no answer within 2 s")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_stop_while_opening(self) -> None:
        """A store that is stopped before it is open stops, and tells whoever waits."""
        late = self.open()
        waiting = late.ready()
        await late.stopService()
        self.assertEqual(await self.fails(waiting), "the server is stopping")
