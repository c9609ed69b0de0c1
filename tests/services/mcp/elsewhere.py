"""What holds of MCP servers that run elsewhere, whether by streamable HTTP or by SSE."""

from __future__ import annotations

import socket
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol

from tests.services.mcp.case import PROGRAM, McpCase
from xiaozhi.services.mcp.link import FAILED, PATIENCE, PING
from xiaozhi.services.mcp.settings import Mcp, Server, Transport


class _Elsewhere(ProcessProtocol):
    """A server that is no child of ours, as far as the link is concerned."""

    def __init__(self, transport: str, listening: socket.socket) -> None:
        self.text = ""
        self.ended: Deferred[None] = Deferred()
        self.look = lambda: None
        core: Any = reactor
        self.handle = core.spawnProcess(
            self,
            sys.executable,
            (sys.executable, "-P", PROGRAM, transport),
            None,
            childFDs={0: listening.fileno(), 1: "r", 2: "r"},
        )

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.text += data.decode()
        self.look()

    def processEnded(self, reason: Any) -> None:
        self.ended.callback(None)

    def kill(self) -> Deferred[None]:
        """End it at once."""
        if not self.ended.called:
            self.handle.signalProcess("KILL")
        return self.ended


def unused_port() -> int:
    """Find a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Elsewhere(McpCase):
    """To be inherited, with the way that is spoken."""

    transport: Transport
    path: str

    def setUp(self) -> None:
        self.port = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.port.close)
        self.begin()
        super().setUp()
        self.server.look = self.servers.look

    def begin(self) -> None:
        """Start a server; who connects before it listens waits."""
        self.server = _Elsewhere(self.transport, self.port)
        self.addCleanup(self.server.kill)

    async def reach(self) -> None:
        """Have it, by its address."""
        url = f"http://127.0.0.1:{self.port.getsockname()[1]}/{self.path}"
        server = Server(url=url, headers={"X-Who": "me"})
        self.assertEqual(server.spoken, self.transport)
        await self.have(demo=server)

    async def test_results(self) -> None:
        """Its tools are listed and called as any."""
        await self.reach()
        self.assertEqual((await self.call("add", a=1, b=2)).text, "3")
        self.assertIn("the tank is empty", (await self.call("fail")).text)
        self.assertEqual(len((await self.call("picture")).pictures), 1)
        await self.call("grow", name="new")
        await self.servers.until(lambda: "new" in self.tools())

    async def test_cancelled(self) -> None:
        """A call that is too late is cancelled at the server."""
        await self.reach()
        call = self.call("wait")
        await self.servers.until(lambda: "begun" in self.server.text)
        self.clock.advance(30)
        self.assertIn("no result within", (await call).text)
        await self.servers.until(lambda: "cancelled" in self.server.text)

    async def test_not_there(self) -> None:
        """Where nothing is, or something else, that is said, without what may be a key."""
        address, port = f"http://127.0.0.1:{self.port.getsockname()[1]}", unused_port()
        for url, why in (
            (f"{address}/nowhere/{self.path}?key=secret", "it answered 404 Not Found"),
            (f"http://127.0.0.1:{port}/{self.path}?key=secret", "connect"),
        ):
            server = Server(url=url, transport=self.transport)
            self.servers.replace(Mcp(servers={"demo": server}))
            await self.servers.until(lambda: self.servers.state() == "lost")
            self.assertRegex(self.why(), why)
            self.assertNotIn("secret", self.why())

    async def test_killed(self) -> None:
        """Killed in the middle of a call, it ends the call; when it is back, so are its tools."""
        await self.reach()
        call = self.call("wait")
        await self.servers.until(lambda: "begun" in self.server.text)
        await self.server.kill()
        outcome = await call
        self.assertTrue(outcome.failed)
        self.assertIn(FAILED, outcome.text)
        self.begin()
        if self.servers.state() == "connected":  # HTTP has no connection to lose
            self.clock.advance(PING)
            self.clock.advance(PATIENCE)
        await self.servers.until(lambda: self.servers.state() == "lost")
        self.clock.advance(1)
        await self.connected()
        self.assertEqual((await self.call("add", a=1, b=2)).text, "3")
