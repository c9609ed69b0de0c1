"""The conversation itself: to end it, and to go on as somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xiaozhi.errors import ServiceError
from xiaozhi.services import engine
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._words import said, text


class Settings(engine.Settings, frozen=True):
    """There is nothing to set."""


class Kit:
    """The tools `end_conversation` and `change_role`."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Need nothing."""
        self.tools: Sequence[Tool] = (
            Tool(
                "end_conversation",
                "End the conversation, when the user says goodbye or wants nothing more.",
                _end,
                alone=True,
            ),
            Tool(
                "change_role",
                "Become another of the assistant's roles, when the user asks for one by name.",
                _change,
                {
                    "type": "object",
                    "properties": {"name": {"type": "string", "description": "The role."}},
                    "required": ["name"],
                },
                alone=True,
            ),
        )


async def _end(arguments: dict[str, Any], scene: Scene) -> Outcome:
    """Say goodbye, and hang up when that has been said."""
    scene.part()
    goodbye = said(scene.language, "好的，再见。", "Goodbye.")
    return Outcome("the conversation ends when you have said goodbye", goodbye, final=True)


async def _change(arguments: dict[str, Any], scene: Scene) -> Outcome:
    name = text(arguments, "name")
    if not name:
        raise ServiceError("tool", "name is missing")
    if scene.become(name):
        here = said(scene.language, f"好的，我现在是{name}了。", f"All right, I am {name} now.")
        return Outcome(f"from the next answer on you are {name}", here, final=True)
    return Outcome(
        f"there is no role called {name!r}",
        said(scene.language, f"没有叫{name}的角色。", f"There is no role called {name}."),
        failed=True,
    )
