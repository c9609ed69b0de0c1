"""What tests of tools have in common: a room, somebody who asks, and failures of servers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet import reactor
from twisted.internet.task import Clock

from tests.services.streams import StreamTestCase
from tests.tools.web import FAULTS, Asked, Reply, Web
from xiaozhi.errors import ServiceError
from xiaozhi.services.pool import Workers
from xiaozhi.services.store import Store
from xiaozhi.tooling import Clip, Outcome, Tool
from xiaozhi.tools import Kit, Room


@attrs.define
class Listener:
    """A device and its user, as tools know them; keeps what a tool does with it."""

    device: str = "aa:bb:cc:00:11:22"
    language: str = "en"
    known: bool = True
    own: dict[str, Callable[[dict[str, Any]], Outcome]] = attrs.field(factory=dict)
    """The device's own tools."""
    roles: Sequence[str] = ()
    parted: bool = False
    clips: list[Clip] = attrs.field(factory=list)
    role: str = ""
    used: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)

    def part(self) -> None:
        self.parted = True

    def play(self, clip: Clip) -> None:
        self.clips.append(clip)

    def become(self, role: str) -> bool:
        if role in self.roles:
            self.role = role
        return role in self.roles

    @property
    def last(self) -> float | None:
        raise AssertionError("no tool here asks for it")

    def forget(self, seconds: float | None, about: str = "") -> None:
        raise AssertionError("these tools forget nothing")

    def offers(self, name: str) -> bool:
        return name in self.own

    async def use(self, name: str, arguments: dict[str, Any]) -> Outcome:
        self.used.append((name, arguments))
        return self.own[name](arguments)


class ToolCase(StreamTestCase):
    """A test with a room, whose clock stands still."""

    stage = "tool"

    def setUp(self) -> None:
        self.clock = Clock()
        pool = Workers(reactor, "tool")
        pool.startService()
        self.addCleanup(pool.stopService)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.room = Room(
            reactor=self.clock,
            pool=pool,
            state=self.folder,
            language="en",
            store=cast(Store, None),  # these tools keep nothing
            now=lambda: datetime.now(UTC),
        )
        self.zh = Listener(language="zh")
        self.en = Listener(language="en")

    def web(self, answer: Callable[[Asked], Reply]) -> Web:
        """Make a server, until the end of the test."""
        web = Web(answer)
        self.addCleanup(web.stop)
        return web


async def call(kit: Kit, name: str, scene: Listener, /, **arguments: Any) -> Outcome:
    """Call a tool of the kit."""
    return await tool(kit, name).call(arguments, scene)


def tool(kit: Kit, name: str) -> Tool:
    """Find a tool of the kit."""
    return next(tool for tool in kit.tools if tool.name == name)


async def failure(kit: Kit, name: str, scene: Listener, /, **arguments: Any) -> ServiceError:
    """Return what a tool fails with."""
    try:
        outcome = await call(kit, name, scene, **arguments)
    except ServiceError as error:
        return error
    raise AssertionError(f"it did not fail: {outcome}")


class Failures:
    """To mix in: whatever the server does, the tool says in time what is wrong, and lives."""

    async def ask(self, kit: Any) -> Outcome:
        """Have the tool ask the server."""
        raise NotImplementedError

    def made(self, timeout_s: float) -> tuple[Any, Web]:
        """Make the kit and the server it asks."""
        raise NotImplementedError

    async def test_failures(self) -> None:
        """Every fault is a ServiceError with a reason, and the next request is answered."""
        case = cast(Any, self)
        for name, fault in FAULTS.items():
            kit, web = self.made(0.3 if name == "stalls" else 5.0)
            web.fault = fault
            try:
                outcome = await self.ask(kit)
            except ServiceError as error:
                case.assertEqual(error.stage, "tool")
                case.assertTrue(error.why)
                case.assertLess(len(error.why), 400, name)
            else:
                case.fail(f"{name}: {outcome}")
            web.fault = None
            case.clock.advance(60)
            case.assertTrue((await self.ask(kit)).text)

    async def test_unreachable(self) -> None:
        """A server that is not there is a ServiceError."""
        kit, web = self.made(5.0)
        await web.stop()
        try:
            outcome = await self.ask(kit)
        except ServiceError as error:
            cast(Any, self).assertIn("127.0.0.1", error.why)
        else:
            cast(Any, self).fail(outcome)
