"""A scene for tools, and models that call them as a test says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from xiaozhi.services.llm import Message, Piece
from xiaozhi.tooling import Call, Clip, Outcome, Tool


class FakeScene:
    """Notes what tools do in it. Other tools answer as `others` says."""

    def __init__(
        self, language: str = "en", known: bool = True, device: str = "d1", **others: Outcome
    ) -> None:
        self.device = device
        self.known = known
        self.language = language
        self.done: list[Any] = []
        self.others = {name.replace("__", "."): outcome for name, outcome in others.items()}

    def part(self) -> None:
        self.done.append("part")

    def play(self, clip: Clip) -> None:
        self.done.append(clip)

    def become(self, role: str) -> bool:
        self.done.append(role)
        return role != "nobody"

    @property
    def last(self) -> float | None:
        return None

    def forget(self, seconds: float | None, about: str = "") -> None:
        self.done.append(("forget", seconds))

    def offers(self, name: str) -> bool:
        return name in self.others

    async def use(self, name: str, arguments: dict[str, Any]) -> Outcome:
        self.done.append((name, arguments))
        return self.others[name]


class Kit:
    """A source of tools."""

    def __init__(self, *tools: Tool) -> None:
        self.offered = tools

    def tools(self, device: str) -> Sequence[Tool]:
        return self.offered


class Steps:
    """A model that answers each time it is asked with the next of `steps`."""

    def __init__(self, *steps: Sequence[Piece | Exception | Deferred[Any]]) -> None:
        self.steps = list(steps)
        self.asked: list[list[Message]] = []
        self.offered: list[list[str]] = []

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        self.asked.append(list(messages))
        self.offered.append([tool.name for tool in tools])
        for piece in self.steps.pop(0):
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, Deferred):
                await piece
            else:
                yield piece


def tool(name: str, *outcomes: Outcome | Exception | Deferred[Any], **more: Any) -> Tool:
    """Make a tool that comes to the next of `outcomes` each time; a Deferred is waited for."""
    waiting = list(outcomes)

    async def call(arguments: dict[str, Any], scene: Any) -> Outcome:
        outcome = waiting.pop(0)
        if isinstance(outcome, Deferred):
            outcome = await outcome
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Outcome)
        return outcome

    return Tool(name, f"does {name}", call, **more)


def call(name: str, arguments: object = "{}", number: str = "") -> Call:
    """Make a call."""
    return Call(number, name, arguments)
