"""The store in PostgreSQL, a real one."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import gatherResults
from twisted.logger import capturedLogs

from tests.services.store import contract, reminders
from tests.services.store.contract import BADGE, NOON, StoreCase
from tests.system.postgres import PASSWORD, running
from xiaozhi.services import store as stores

PATIENCE = 0.4


class Served(StoreCase):
    """A test with a server and a database of its own."""

    timeout = 60
    at: str

    def setUp(self) -> Any:
        self.server = running()
        return super().setUp()

    def place(self) -> str:
        return self.server.database()


class PostgresDevices(Served, contract.DevicesContract):
    pass


class PostgresActivation(Served, contract.ActivationContract):
    pass


class PostgresTokens(Served, contract.TokensContract):
    pass


class PostgresStanding(Served, contract.StandingContract):
    pass


class PostgresMemories(Served, contract.MemoriesContract):
    pass


class PostgresRecollections(Served, contract.RecollectionsContract):
    pass


class PostgresReminders(Served, reminders.RemindersContract):
    pass


class PostgresDatabase(Served, contract.DatabaseContract):
    pass


class TroubleTests(Served):
    """A server that is locked, silent, or gone."""

    def database(self) -> str:
        """Tell the name of the store's database."""
        return self.at.partition("@/")[2].partition("?")[0]

    async def test_locked(self) -> None:
        """A lock that somebody holds is not waited for too long, over and over."""
        store = self.open(PATIENCE)
        await store.seen(BADGE, NOON)
        with self.server.connect(self.database()) as other, other.transaction():
            other.execute("UPDATE devices SET name = 'x'")
            self.assertIsNotNone(await store.device(BADGE.id))
            for _ in range(stores.THREADS + 1):
                why = await self.fails(store.block(BADGE.id, True, NOON))
                self.assertEqual(why, "canceling statement due to statement timeout")
        self.assertTrue(await store.block(BADGE.id, True, NOON))

    async def test_silent(self) -> None:
        """A server that says nothing any more holds nobody up, and no thread for ever."""
        store = self.open(PATIENCE)
        await gatherResults([store.seen(BADGE, NOON) for _ in range(stores.THREADS)])
        with self.server.silent():
            asked = [self.fails(store.device(BADGE.id)) for _ in range(2 * stores.THREADS)]
            for call in asked:
                self.assertIn("no answer within 0.4 s", await call)
            await store._workers.run(int)  # a thread is free although nothing was answered
        store._patience = 10.0  # new connections take a moment on a busy machine
        found = await gatherResults([store.device(BADGE.id) for _ in range(2 * stores.THREADS)])
        self.assertNotIn(None, found)

    async def test_stop_while_silent(self) -> None:
        """A store stops although its server says nothing."""
        store = self.open(PATIENCE)
        await store.ready()
        with self.server.silent():
            call = self.fails(store.device(BADGE.id))
            await store.stopService()
            self.assertIn("no answer within 0.4 s", await call)

    async def test_restarted(self) -> None:
        """When the server is gone that is said, without secrets; when it is back, all is well."""
        await self.store.seen(BADGE, NOON)
        with capturedLogs() as events:
            self.server.stop()
            try:
                why = await self.fails(self.store.device(BADGE.id))
                opening = await self.fails(self.open().ready())
            finally:
                self.server.start()
        for said in (why, opening, repr(events)):
            self.assertIn("connection", said)
            self.assertNotIn(PASSWORD, said)
        self.assertIsNotNone(await self.store.device(BADGE.id))

    async def test_wrong_password(self) -> None:
        """A password that is refused is not told to the log either."""
        self.at = self.at.replace("p%40ss", "secret")
        why = await self.fails(self.open().ready())
        self.assertIn("password authentication failed", why)
        self.assertNotIn("secret", why)
