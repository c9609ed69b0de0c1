"""The pages of a server, with a real store and a real gate behind them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from tests.http import Reply, asked
from tests.services.web.test_ota import NOW as LOCAL
from xiaozhi.identity import identify
from xiaozhi.services.activation import Enrolment
from xiaozhi.services.auth import Gate, make_gate
from xiaozhi.services.auth.caller import Admitted
from xiaozhi.services.auth.settings import Auth
from xiaozhi.services.counters import Counters
from xiaozhi.services.devices import Devices
from xiaozhi.services.engine import Workshop
from xiaozhi.services.memory import Desk, Memories
from xiaozhi.services.memory.local import Memory, Settings
from xiaozhi.services.pool import Workers
from xiaozhi.services.store import Entry, SessionMemory, Store
from xiaozhi.services.web.api import Api, Hands, Means
from xiaozhi.services.web.operators import Operators
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.proxies import Proxies
from xiaozhi.services.web.site import site
from xiaozhi.settings import Activation

NOON = 1_800_000_000.0
BADGE = "aa:bb:cc:00:11:22"
HEADERS = {
    "Device-Id": BADGE.upper(),
    "Client-Id": "c1",
    "User-Agent": "bread-compact-wifi/2.0.1",
    "Accept-Language": "zh-CN",
}
TOKENS = Auth(mode="token", key="k" * 32)
OFF = Auth()


class FakeServers:
    """An MCP server, and the tokens of those that may stay."""

    kept: Collection[str] = ()

    def states(self) -> list[dict[str, Any]]:
        return [
            {
                "name": "demo", "how": "stdio", "state": "connected", "why": "",
                "tools": ["add"], "devices": None,
            }
        ]  # fmt: skip

    def keep(self, tokens: Collection[str]) -> None:
        self.kept = tokens


class ServerCase(TestCase):
    """A test with the pages of a server whose store is real, at noon."""

    timeout = 20

    def setUp(self) -> Any:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.now = NOON
        self.clock = Clock()
        self.counters = Counters()
        self.kicked: list[str] = []
        self.interrupted: list[tuple[str, float | None, str]] = []
        self.hands: dict[str, Hands] = {}
        """The tools of devices that are connected."""
        self.store = Store(reactor, self.folder / "xiaozhi.db", 10.0)
        self.store.startService()
        self.addCleanup(self.store.stopService)
        self.serve(TOKENS)
        return self.store.ready()

    def serve(self, auth: Auth, most: int = 20, **activation: Any) -> None:
        """Serve as these settings want."""
        proxies = Proxies()
        shop = Workshop(self.clock, Workers(self.clock, "auth"), self.folder, "en")
        self.gate: Gate = make_gate(
            auth, proxies, self.counters, shop, lambda: self.now, self.store, self.store
        )
        enrolment = self.enrolment = Enrolment(
            self.store, self.gate.mint, auth, Activation(**activation), most, reactor,
            lambda: self.now,
        )  # fmt: skip
        self.addCleanup(enrolment.stopService)
        memories = Memories(self.clock, self.store, lambda: succeed(None))
        memories.use(self.memory())
        self.servers = FakeServers()
        means = Means(
            self.store,
            enrolment,
            lambda: self.now,
            self.kicked.append,
            servers=self.servers,
            hands=self.hands.get,
            remembered=memories,
            interrupt=lambda *told: self.interrupted.append(told),
        )
        api = Api(Operators(self.store, lambda: proxies, self.counters, self.clock), means)
        offer = Offer(None, 1, lambda: LOCAL, proxies)
        self.site: Site = site(WebSocketServerFactory(), offer, Devices(), enrolment, {"api": api})

    def memory(self) -> Memory:
        """Make a memory that learns by patterns."""
        pool = Workers(reactor, "memory")
        pool.startService()
        self.addCleanup(pool.stopService)

        desk = Desk(reactor, pool, self.folder, "en", self.store, Mock(), lambda: self.now)
        return Memory(Settings(model=False), desk)

    async def learnt(self, *said: str, device: str = BADGE) -> None:
        """Have sessions be learnt from, of which each is two minutes older than the one before."""
        memory = self.memory()
        for number, text in enumerate(said):
            ended = self.now - 120 * number
            told = SessionMemory(
                session_id=f"{device} {number}", device_id=device, began=ended - 9, ended=ended,
                entries=(Entry("user", text, ended - 1),),
            )  # fmt: skip
            await self.store.remember(told)
            await memory.learn(told)

    async def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        """Ask as a device; a body of bytes is sent as it is."""
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        reply = await asked(self.site, "POST", path, HEADERS | named, data)
        self.assertEqual(int(reply.headers["content-length"]), len(reply.body))
        self.assertTrue(reply.headers["content-type"].startswith("application/json"))
        self.assertLess(len(reply.body), 6000)
        return reply

    async def boot(self, **headers: str) -> Any:
        """Fetch a device's configuration."""
        reply = await self.post("/xiaozhi/ota/", **headers)
        self.assertEqual(reply.status, 200)
        return reply.json()

    async def admitted(self, token: str, device: str = BADGE) -> bool:
        """Say whether the gate lets a device in with a token."""
        headers = {"device-id": device, "authorization": f"Bearer {token}"}
        caller = self.gate.caller(identify({}, headers), "203.0.113.9", {}, headers)
        return isinstance(await self.gate.admit(caller), Admitted)
