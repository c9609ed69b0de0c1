"""MCP servers and the endpoint, with real bridges and a real server."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import treq
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.web.client import Agent
from twisted.web.server import Site

from tests.services.mcp.case import McpCase, ended, running_below
from tests.system import bridges
from tests.system.server import Process, ServerCase, reactor
from tests.websocket import set_clock
from xiaozhi.limits import Crowd
from xiaozhi.services.auth.refusals import Refusals
from xiaozhi.services.mcp.link import FAILED
from xiaozhi.services.store import Store, subject_of
from xiaozhi.services.web.mcp import Endpoint, McpPages
from xiaozhi.services.web.proxies import Proxies

BADGE = "aa:bb:cc:00:11:22"


class BridgeTests(McpCase, ServerCase):
    """Each bridge, at an endpoint in this process."""

    timeout = 170

    def setUp(self) -> Any:
        super().setUp()
        self.addCleanup(set_clock, set_clock(Clock()))  # or Autobahn's timers outlive the test
        self.store = Store(reactor, Path(self.mktemp()).absolute(), 10.0)
        self.store.startService()
        self.addCleanup(self.store.stopService)
        refusals = Refusals(self.clock)
        self.addCleanup(refusals.sum_up)
        house = Endpoint(
            self.servers, self.store, Crowd(10, 10), self.counters, refusals, Proxies
        )  # fmt: skip
        pages = McpPages(house)
        root = Site(pages)
        self.port = reactor.listenTCP(0, root, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        return self.store.ready()

    def bridge(self, name: str, token: str) -> Process:
        """Start a bridge."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        url = f"ws://127.0.0.1:{self.port.getHost().port}/?token={token}"
        return self.program(
            *bridges.command(name, folder),
            MCP_ENDPOINT=url,
            MCP_CONFIG=str(folder / "mcp_config.json"),
            PYTHONWARNINGS="",
            PYTHONPATH="",
        )

    async def token(self, *devices: str) -> str:
        """Make a token for some devices, or for all."""
        subject = subject_of(devices or None)
        return (await self.store.issue_token("mcp", subject, "", time.time())).secret

    async def serves(self, name: str) -> None:
        """See a bridge connect, its server's tools called, and what comes when it is gone."""
        bridge = self.bridge(name, await self.token(BADGE))
        await self.servers.until(lambda: "add" in self.tools(BADGE))
        self.assertEqual(self.tools("another"), {})
        self.assertEqual(self.servers.states()[0]["name"], "demo")

        def call(tool: str, **arguments: Any) -> Deferred[Any]:
            return ensureDeferred(self.tools(BADGE)[tool].call(arguments, None))  # type: ignore[arg-type]  # no scene

        self.assertEqual((await call("add", a=1, b=2)).text, "3")
        self.assertIn("the tank is empty", (await call("fail")).text)
        self.assertEqual(len((await call("picture")).pictures), 1)
        self.assertEqual(self.counters.value("mcp_connected", server="endpoint"), 1)

        waiting = call("wait")
        await bridge.says("begun")
        bridge.handle.signalProcess("KILL")
        self.assertIn(FAILED, (await waiting).text)
        await bridge.ended
        await self.servers.until(lambda: not self.servers.states())
        self.assertEqual(self.tools(BADGE), {})

    async def test_mcp2xiaozhi(self) -> None:
        """The one bridge."""
        await self.serves("mcp2xiaozhi")

    async def test_xiaozhi_mcp(self) -> None:
        """The other bridge."""
        await self.serves("xiaozhi_mcp")

    async def test_both(self) -> None:
        """Both with one token, for all devices: names that clash have their server's in front."""
        token = await self.token()
        for name in bridges.NAMES:
            self.bridge(name, token)
        await self.servers.until(lambda: len(self.servers.tools("any")) == 20)
        self.assertIn("demo_add", self.tools("any"))
        self.servers.keep(())  # as when the token is revoked
        await self.servers.until(lambda: not self.servers.states())


class File:
    """A file that is written while a server runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """Put a text into it."""
        self._path.write_text(text, encoding="utf-8")


class WholeTests(ServerCase):
    """All of a server."""

    async def test_all_of_it(self) -> None:
        """Servers of the settings and of mcp.json, a bridge, and a token that is revoked."""
        folder = tempfile.TemporaryDirectory(prefix="xiaozhi-")
        self.addCleanup(folder.cleanup)
        state, file = folder.name, File(Path(folder.name, "mcp.json"))
        ours = {"command": sys.executable, "args": ["-P", bridges.PROGRAM, "stdio"]}
        settings = json.dumps({"servers": {"one": ours}})
        file.write(json.dumps({"mcpServers": {"two": ours}}))
        port = await self.server(
            f"mcp: {settings}\nllm: offline\nasr: pocketsphinx\ntts: espeak",
            "MCP server one: 10 tools",
            "MCP server two: 10 tools",
            STATE_DIRECTORY=state,
        )
        server, url = self.process, f"http://127.0.0.1:{port}"

        async def operator(*words: str) -> str:
            command = self.command("-m", "xiaozhi.cli", *words, STATE_DIRECTORY=state, LANG="C")
            self.assertEqual(await command.ended, 0, command.text)
            return command.text

        await operator("token", "new", "--save")
        endpoint = (await operator("token", "new", "--mcp", BADGE, "--server", url)).split()[-1]
        self.assertRegex(endpoint, rf"^ws://127.0.0.1:{port}/mcp/\?token=[\w-]{{43}}$")
        bridge = self.program(
            *bridges.command("mcp2xiaozhi", Path(state)),
            MCP_ENDPOINT=endpoint, PYTHONWARNINGS="", PYTHONPATH="",
        )  # fmt: skip
        await server.says("MCP server demo: 10 tools")
        lines = (await operator("mcp", "--server", url)).splitlines()
        self.assertRegex(lines[3], rf"^demo +endpoint +connected +10 +{BADGE} ")
        listed = json.loads(await operator("token", "--json", "--server", url))
        (ident,) = [token["id"] for token in listed if token["kind"] == "mcp"]
        await operator("token", "revoke", ident, "--server", url)
        await bridge.says("WebSocket closed")
        await server.says("refused an MCP server from 127.0.0.1: nobody knows its token")
        reply: Any = await treq.get(f"{url}/mcp/?token=no", agent=Agent(reactor))
        self.assertIn("by WebSocket", await reply.text())
        self.assertNotIn(endpoint[-43:], server.text)

        file.write("{}")
        server.handle.signalProcess("HUP")
        await server.says("mcp.json: has no mapping mcpServers")
        file.write('{"mcpServers": {}}')
        server.handle.signalProcess("HUP")
        await server.says(r"mcp\.servers")
        self.assertEqual(len((await operator("mcp", "--server", url)).splitlines()), 2)
        children = running_below(server.handle.pid)
        self.assertEqual(len(children), 1)
        server.handle.signalProcess("TERM")
        await server.ended
        await ended(children)
