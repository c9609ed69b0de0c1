"""MCP servers that die, hang, send too much, and are stopped; and those that speak SSE."""

from __future__ import annotations

import os
import signal
import sys

from tests.services.mcp import elsewhere
from tests.services.mcp.case import PROGRAM, McpCase, ended, group_of, ours
from xiaozhi.services.mcp.child import LONGEST as LONGEST_LINE
from xiaozhi.services.mcp.link import FAILED, PATIENCE, PING
from xiaozhi.services.mcp.settings import Server, Transport


class LifeTests(McpCase):
    """Programs of ours."""

    async def test_killed(self) -> None:
        """A server that dies ends what is being called; it is back, and called again."""
        await self.have(demo=ours())
        old, call = self.tools()["add"], self.call("wait")
        await self.servers.until(lambda: "begun" in self.servers.lines)
        for outcome in (await self.call("die"), await call):
            self.assertTrue(outcome.failed)
            self.assertIn(FAILED, outcome.text)
            self.assertIn("closed the connection", outcome.text)
        self.assertEqual((self.servers.state(), self.tools()), ("ending", {}))
        self.assertEqual(self.counters.value("mcp_connected", server="demo"), 0)
        self.assertIn("not connected", (await old.call({"a": 1, "b": 2}, None)).text)  # type: ignore[arg-type]  # no scene
        await self.again(1)
        self.assertEqual(self.counters.value("mcp_connected", server="demo"), 1)
        self.assertEqual((await old.call({"a": 1, "b": 2}, None)).text, "3")  # type: ignore[arg-type]  # no scene

    async def again(self, seconds: float) -> None:
        """Let so much time pass once the link waits for it."""
        await self.servers.until(lambda: self.servers.state() == "lost")
        self.clock.advance(seconds)
        await self.connected()

    async def test_mute(self) -> None:
        """A server that hangs while nothing is asked of it is noticed by a ping, and ended."""
        await self.have(demo=ours())
        process = int((await self.call("pid")).text)
        os.kill(process, signal.SIGSTOP)
        self.clock.advance(PING)
        self.clock.advance(PATIENCE)
        await self.servers.until(lambda: self.servers.state() == "lost")
        self.assertIn("no answer", self.servers.states()[0]["why"])
        await self.again(1)
        await ended([process])

    async def test_overlong(self) -> None:
        """A message that is too long to be read ends the connection, and that is said."""
        await self.have(demo=ours())
        outcome = await self.call("long", characters=LONGEST_LINE + 1)
        self.assertEqual(outcome.text, f"{FAILED}: long: it sent a message of more than 4 MiB")
        await self.again(1)

    async def test_stopped(self) -> None:
        """When we stop, a server ends, and so does what it has started and forgotten."""
        script = f"sleep 1000 & exec {sys.executable} -P {PROGRAM} stdio"
        await self.have(demo=Server(command="sh", args=("-c", script)))
        process = int((await self.call("pid")).text)
        group = group_of(process)
        self.assertEqual(len(group), 2)
        call = self.call("wait")
        await self.servers.until(lambda: "begun" in self.servers.lines)
        await self.servers.stopService()
        self.assertIn(FAILED, (await call).text)
        await ended(group)
        self.assertEqual(self.tools(), {})


class SseTests(elsewhere.Elsewhere):
    """Server-sent events, as older servers have it."""

    transport: Transport = "sse"
    path = "sse"
