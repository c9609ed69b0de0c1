"""What tests of MCP servers need: servers in processes of their own, and events to wait for."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from xiaozhi.operators.reasons import in_chinese
from xiaozhi.services.bridge import from_aio
from xiaozhi.services.counters import Counters
from xiaozhi.services.mcp import Servers
from xiaozhi.services.mcp.link import Link
from xiaozhi.services.mcp.settings import Mcp, Server
from xiaozhi.services.pool import Workers
from xiaozhi.tooling import Outcome, Tool

PROGRAM = str(Path(__file__).parents[2] / "mcp_server.py")
NOBODY: Any = Mock()
"""The scene: no MCP tool looks at it."""


def ours(*more: str, **settings: Any) -> Server:
    """Configure the server of the tests."""
    return Server(command=sys.executable, args=("-P", PROGRAM, "stdio", *more), **settings)


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield the processes that run: id, parent, group."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone meanwhile
            state, parent, group, *_ = stat.read_text("utf-8").rpartition(")")[2].split()
            if state != "Z":
                yield int(stat.parent.name), int(parent), int(group)


def group_of(process: int) -> list[int]:
    """List what runs in the group of a process."""
    return [it for it, _, group in _processes() if group == process]


async def ended(processes: Iterable[int]) -> None:
    """Wait until all of these have ended, a moment after they were killed."""
    for process in processes:
        with suppress(ProcessLookupError):
            descriptor, gone = os.pidfd_open(process), Deferred[None]()
            _loop().add_reader(descriptor, gone.callback, None)
            gone.addTimeout(5, reactor)
            try:
                await gone
            finally:
                _loop().remove_reader(descriptor)
                os.close(descriptor)


def running_below(process: int) -> list[int]:
    """List the MCP servers that are children of a process: each leads a group."""
    return [it for it, parent, group in _processes() if parent == process and it == group]


def _loop() -> asyncio.AbstractEventLoop:
    """Give the loop the reactor runs on."""
    return asyncio.get_event_loop_policy().get_event_loop()


class Watched(Servers):
    """Servers, at which one can wait for something."""

    def __init__(self, *house: Any) -> None:
        super().__init__(*house)
        self.lines: list[str] = []
        self._awaited: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Wait until `condition` holds; it is looked at when something happens here."""
        waiter: Deferred[None] = Deferred()
        waiter.addTimeout(20, reactor)
        self._awaited.append((condition, waiter))
        self.look()
        return waiter

    def look(self) -> None:
        """See what has come true, as soon as whoever has called this is done."""
        _loop().call_soon(self._look)

    def _look(self) -> None:
        for entry in list(self._awaited):
            condition, waiter = entry
            if condition():
                self._awaited.remove(entry)
                waiter.callback(None)

    def state(self, name: str = "demo") -> str:
        """Tell how a link is."""
        return next((one["state"] for one in self.states() if one["name"] == name), "")

    def _changed(self, link: Link) -> None:
        super()._changed(link)
        self.look()

    def _say(self, name: str, line: str) -> None:
        self.lines.append(line)
        self.look()


class McpCase(TestCase):
    """A test with servers; afterwards nothing of them is left."""

    timeout = 60

    def setUp(self) -> None:
        self.clock, self.counters = Clock(), Counters()
        pool = Workers(reactor, "mcp")
        pool.startService()
        self.addCleanup(pool.stopService)
        self.before = asyncio.all_tasks(_loop())
        self.addCleanup(self._nothing_left)
        self.servers = Watched(self.clock, self.counters, pool)
        self.servers.startService()
        self.addCleanup(self.servers.stopService)

    def _nothing_left(self) -> Deferred[None]:
        self.assertEqual(self.clock.getDelayedCalls(), [])

        async def none_left() -> None:
            left = asyncio.all_tasks() - self.before - {asyncio.current_task()}
            if left:  # the loop itself closes generators that were cancelled
                _, left = await asyncio.wait(left, timeout=5)
            self.assertEqual(left, set())

        return from_aio(none_left())

    async def have(self, **servers: Server) -> None:
        """Have these servers, and wait until all are connected."""
        self.servers.replace(Mcp(servers=servers))
        for name in servers:
            await self.connected(name)

    async def connected(self, name: str = "demo") -> None:
        """Wait until a server is there."""
        await self.servers.until(lambda: self.servers.state(name) == "connected")

    def tools(self, device: str = "d") -> Mapping[str, Tool]:
        """Tell the tools there are, by name."""
        return {tool.name: tool for tool in self.servers.tools(device)}

    def why(self) -> str:
        """Tell why the first server is not connected, which can be said in Chinese, too."""
        why: str = self.servers.states()[0]["why"]
        self.assertRegex(in_chinese(why), "[\u4e00-\u9fff]")
        return why

    def call(self, tool: str, **arguments: Any) -> Deferred[Outcome]:
        """Call a tool."""
        return ensureDeferred(self.tools()[tool].call(arguments, NOBODY))

    def counted(self, outcome: str, server: str = "demo") -> float:
        """Tell how many calls came to this."""
        return self.counters.value("mcp_calls", server=server, outcome=outcome)
