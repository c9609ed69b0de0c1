"""MCP servers that are programs of ours; the system suite has those that die or hang."""

from __future__ import annotations

import json
import os
import sys

from twisted.internet.defer import CancelledError
from twisted.logger import capturedLogs, formatEvent

from tests.services.mcp.case import McpCase, ours
from xiaozhi.services.mcp.link import AT_ONCE, FAILED, OPENING
from xiaozhi.services.mcp.results import LONGEST
from xiaozhi.services.mcp.settings import Mcp, Server


class CallTests(McpCase):
    async def test_results(self) -> None:
        """Tools are listed with their schemas; each kind of result is told to the model."""
        await self.have(demo=ours(env={"WHO": "me"}, timeout_s=7.0, alone=True))
        add = self.tools()["add"]
        self.assertEqual((add.description, add.patience, add.alone), ("Add two numbers.", 8, True))
        self.assertEqual(add.schema["required"], ["a", "b"])
        self.assertEqual((await self.call("add", a=1, b=2)).text, "3")

        failed = await self.call("fail")
        self.assertTrue(failed.failed)
        self.assertIn("the tank is empty", failed.text)
        self.assertTrue((await self.call("add", a="x")).failed)

        pictured = await self.call("picture")
        self.assertEqual(pictured.pictures[0].mime, "image/png")
        self.assertEqual(pictured.pictures[0].data[:4], b"\x89PNG")

        long = await self.call("long", characters=100_000)
        self.assertLess(len(long.text), LONGEST + 100)
        self.assertIn("100000 characters", long.text)
        self.assertEqual(len(json.loads((await self.call("show")).text)["html"]), 20_000)
        self.assertEqual((self.counted("done"), self.counted("failed")), (4, 2))

    async def test_environment(self) -> None:
        """A server is given what is configured, and little else of our environment."""
        self.patch(os, "environ", os.environ | {"OUR_SECRET": "1"})
        await self.have(demo=ours(env={"WHO": "me"}))
        told = json.loads((await self.call("environment")).text)
        self.assertEqual((told["WHO"], "OUR_SECRET" in told, "PATH" in told), ("me", False, True))

    async def test_chosen_tools(self) -> None:
        """Only the tools that are allowed are there; two devices share one link and its list."""
        await self.have(demo=ours(tools=("add", "pid")))
        self.assertEqual(list(self.tools()), ["add", "pid"])
        self.assertIs(self.servers.tools("one"), self.servers.tools("two"))
        self.assertEqual(await self.call("pid"), await self.call("pid"))

    async def test_names_that_clash(self) -> None:
        """The second of two tools of one name has its server's in front, and works."""
        await self.have(one=ours(tools=("pid",)), two=ours(tools=("pid",)))
        self.assertEqual(list(self.tools()), ["pid", "two_pid"])
        self.assertNotEqual(await self.call("pid"), await self.call("two_pid"))

    async def test_late(self) -> None:
        """A call that takes too long ends with a text for the model, and the server is told."""
        await self.have(demo=ours())
        call = self.call("wait")
        await self.servers.until(lambda: "begun" in self.servers.lines)
        self.clock.advance(30)
        outcome = await call
        self.assertEqual(
            (outcome.failed, outcome.text), (True, f"{FAILED}: wait: no result within 30 s")
        )
        await self.servers.until(lambda: "cancelled" in self.servers.lines)
        self.assertEqual(self.counted("late"), 1)
        self.assertEqual((await self.call("add", a=1, b=2)).text, "3")

    async def test_cancelled(self) -> None:
        """Who cancels a call has the server told."""
        await self.have(demo=ours())
        call = self.call("wait")
        await self.servers.until(lambda: "begun" in self.servers.lines)
        call.cancel()
        await self.assertFailure(call, CancelledError)
        await self.servers.until(lambda: "cancelled" in self.servers.lines)
        self.assertEqual(self.counted("cancelled"), 1)

    async def test_too_many(self) -> None:
        """More calls than may run at once are refused."""
        await self.have(demo=ours())
        calls = [self.call("wait") for _ in range(AT_ONCE)]
        self.assertIn("too many", (await self.call("add", a=1, b=2)).text)
        for call in calls:
            call.cancel()
            await self.assertFailure(call, CancelledError)


class LifeTests(McpCase):
    async def test_changed(self) -> None:
        """A tool that appears while the server runs is there."""
        await self.have(demo=ours())
        self.assertEqual((await self.call("grow", name="new")).text, "grown")
        await self.servers.until(lambda: "new" in self.tools())
        self.assertEqual((await self.call("new")).text, "new")

    async def test_replaced(self) -> None:
        """With other settings only the links that differ are made anew."""
        await self.have(same=ours(tools=("pid",)), other=ours(tools=("add",)))
        before = await self.call("pid")
        self.servers.replace(
            Mcp(servers={"same": ours(tools=("pid",)), "other": ours(enabled=False)})
        )
        self.assertEqual(list(self.tools()), ["pid"])
        self.assertEqual(await self.call("pid"), before)
        self.assertEqual(
            list(self.counters.values("mcp_connected")), [(("endpoint",), 0), (("same",), 1)]
        )

    async def test_no_such_program(self) -> None:
        """What cannot be started is said, and tried again ever more seldom."""
        with capturedLogs() as logs:
            self.servers.replace(Mcp(servers={"demo": Server(command="/nowhere/at/all")}))
            for seconds in (1, 2, 4):
                await self.servers.until(lambda: self.servers.state() == "lost")
                self.assertIn("No such file", self.why())
                self.clock.advance(seconds - 0.1)
                self.assertEqual(self.servers.state(), "lost")
                self.clock.advance(0.1)
                await self.servers.until(lambda: self.servers.state() == "connecting")
        lines = [formatEvent(event) for event in logs if "server" in event]
        self.assertEqual(len(lines), 1)
        self.assertIn("MCP server demo: [Errno 2] No such file", lines[0])

    async def test_no_server(self) -> None:
        """A program that speaks something else is not waited for without end."""
        talk = (
            "import sys; print('hello', flush=True); sys.stderr.write('log\\n'); sys.stdin.read()"
        )
        self.servers.replace(
            Mcp(servers={"demo": Server(command=sys.executable, args=("-c", talk))})
        )
        await self.servers.until(lambda: "log" in self.servers.lines)
        self.clock.advance(OPENING)
        await self.servers.until(lambda: self.servers.state() == "lost")
        self.assertIn("not known within", self.why())

    async def test_chatter(self) -> None:
        """A server's log is ours, in lines of some length, and not without end."""
        talk = (
            "import sys; print('x' * 9999 + '\\n' + 'line\\n' * 500, file=sys.stderr, flush=True)"
        )
        self.servers.replace(
            Mcp(servers={"demo": Server(command=sys.executable, args=("-c", talk))})
        )
        await self.servers.until(lambda: self.servers.state() == "lost")
        self.assertLess(len(self.servers.lines), 32)
        self.assertLess(max(map(len, self.servers.lines)), 2001)

    async def test_death_at_the_start(self) -> None:
        """Of a program that dies, the cause is told and kept: once, as often as it dies of it."""
        talk = (
            "import os, sys; lines = ''.join(f'{n} of {os.getpid()}\\n' for n in range(99)); "
            "sys.stderr.write(lines + 'KeyError: the cause')"
        )
        self.servers.replace(
            Mcp(servers={"demo": Server(command=sys.executable, args=("-c", talk))})
        )
        for seconds in (1, 2):
            await self.servers.until(lambda: self.servers.state() == "lost")
            self.assertIn("KeyError: the cause", self.why())
            self.clock.advance(seconds)
            await self.servers.until(lambda: self.servers.state() == "connecting")
        await self.servers.until(lambda: self.servers.state() == "lost")
        lines = self.servers.lines
        self.assertEqual(lines.count("KeyError: the cause"), 1)
        self.assertEqual((lines[-1], lines[20]), ("KeyError: the cause", "(70 more lines)"))
