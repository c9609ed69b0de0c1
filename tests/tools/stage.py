"""A scene for tools, and the room they are in, at a time that stands still."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from xiaozhi.tooling import Clip, Outcome
from xiaozhi.tools import Kit, Room

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=SHANGHAI)
"""A Tuesday."""


@attrs.define
class Stage:
    """The scene of one device."""

    language: str = "en"
    device: str = "aa:bb:cc:00:11:22"
    known: bool = True

    def part(self) -> None:
        raise AssertionError("no tool here closes the connection")

    def play(self, clip: Clip) -> None:
        raise AssertionError("no tool here plays anything")

    def become(self, role: str) -> bool:
        return False

    @property
    def last(self) -> float | None:
        raise AssertionError("no tool here asks for it")

    def forget(self, seconds: float | None, about: str = "") -> None:
        raise AssertionError("no tool here forgets anything")

    def offers(self, name: str) -> bool:
        return False

    async def use(self, name: str, arguments: dict[str, Any]) -> Outcome:
        raise AssertionError("no tool here needs another")


class AtOnce:
    """A pool without threads."""

    def run(self, work: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        return maybeDeferred(work, *args, **kwargs)


def room(**more: Any) -> Room:
    """Make a room in which it is NOW."""
    pool: Any = AtOnce()
    store: Any = None
    facts: dict[str, Any] = {
        "reactor": Clock(), "pool": pool, "state": Path(), "language": "en", "store": store,
        "now": lambda: NOW,
    }  # fmt: skip
    return Room(**(facts | more))


async def call(kit: Kit, name: str, scene: Stage | None = None, **arguments: Any) -> Outcome:
    """Call one of the kit's tools."""
    (tool,) = (tool for tool in kit.tools if tool.name == name)
    return await tool.call(arguments, scene or Stage())
