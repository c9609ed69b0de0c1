"""Which engines are wanted: the lists of each kind, and who is wanted before the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta

from xiaozhi.section import Section
from xiaozhi.services import engine

ENGINES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "vad": ("silero", "webrtc"),
        "asr": ("openai", "whisper", "pocketsphinx"),
        "llm": ("openai", "ollama", "llamacpp", "offline"),
        "tts": ("openai", "piper", "espeak", "gtts"),
        "memory": ("local",),
        "tools": (
            "clock",
            "sums",
            "reminders",
            "device",
            "talk",
            "memory",
            "weather",
            "news",
            "search",
            "music",
            "home",
        ),
    }
)
"""The engines used of each kind unless the configuration says otherwise, in order; all tools."""


class Chosen(msgspec.Struct, frozen=True):
    """An engine and its settings, as `engine.make` takes them."""

    kind: str
    name: str
    settings: engine.Settings
    alias: str = ""
    """What it is called to tell it from others of its name."""

    @property
    def called(self) -> str:
        """The name it goes by."""
        return self.alias or self.name

    def __repr__(self) -> str:
        """Leave the settings out: there are secrets among them."""
        return f"Chosen({self.kind!r}, {self.name!r}, ...)"


class Wish(msgspec.Struct, frozen=True):
    """An engine somebody wants, by what it is called; perhaps with other settings."""

    alias: str
    chosen: Chosen | None = None
    """None if there is none that is called so."""


def _purpose(description: str) -> Meta:
    return Meta(description=description, extra={"kind": "llm"})


class ByMode(Section, frozen=True):
    """Which language model thinks for which purpose, before the usual ones."""

    default: Annotated[
        Wish | None,
        _purpose(
            "For every purpose that has no model of its own, and behind those that have: one of "
            "`llm` by its alias, or a mapping of `alias` and of settings that are others here."
        ),
    ] = None
    chat: Annotated[Wish | None, _purpose("Talks, for roles that name no other.")] = None
    meeting: Annotated[Wish | None, _purpose("Minutes of meetings.")] = None
    coding: Annotated[Wish | None, _purpose("What a session of coding comes to.")] = None
    working: Annotated[Wish | None, _purpose("Work on tasks.")] = None
    intent: Annotated[
        Wish | None, _purpose("Which tool is meant, where assistant.intent is intent_llm.")
    ] = None
    memory: Annotated[
        Wish | None, _purpose("Notes about users, and summaries of what was said.")
    ] = None

    def chain(self, purpose: str) -> Sequence[Wish]:
        """Tell who is to think for a purpose, the first one first; the usual come after them.

        "dialog", and what stands below it, is another word for chat. What has no model of its
        own has the default.
        """
        name = "chat" if purpose.partition(".")[0] == "dialog" else purpose
        own = getattr(self, name) if name in self.__struct_fields__ else None
        return [wish for wish in (own, self.default) if wish is not None]
