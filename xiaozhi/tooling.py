"""What the assistant can do: tools, calls of them, and what comes of a call.

A tool is a function, a description and a JSON schema. Tools of the house, of the device, and of
MCP servers all look like this, to the model and to whoever calls them.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import attrs

LONGEST_NAME = 64
"""Characters of a function's name that models accept."""

_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]+")


@attrs.frozen
class Call:
    """A model wants a tool to be called."""

    id: str
    """Names the call in the conversation with the model; "" if the model gave none."""
    name: str
    """As the model was told it."""
    arguments: object = attrs.field(factory=dict)
    """As the model wrote them: an object, or text that should be one."""


@attrs.frozen
class Picture:
    """An image a tool gave."""

    mime: str
    data: bytes = attrs.field(repr=False)

    @classmethod
    def read(cls, mime: str, written: str) -> Picture | None:
        """Read one that is written in Base64; None if it is not."""
        try:
            return cls(mime, b64decode(written, validate=True))
        except ValueError:
            return None


@attrs.frozen
class Outcome:
    """What came of a call."""

    text: str
    """What the model is told."""
    say: str = ""
    """The same as a sentence for the user, in their language, where no model is needed for it."""
    final: bool = False
    """Whether `say` is the answer, and the model is not asked again."""
    failed: bool = False
    bad_arguments: bool = False
    """Whether it failed since its arguments could not be taken."""
    pictures: tuple[Picture, ...] = ()
    whole: bool = False
    """Whether the model is told all of `text`, however long it is."""


@attrs.frozen
class Clip:
    """Sound to be played once the answer has been spoken: music, say."""

    title: str
    rate: int
    """Samples per second (Hz)."""
    pcm: Callable[[], AsyncGenerator[bytes, None]]
    """Yields 16-bit mono samples; raises ServiceError. Closing it ends the source."""
    over: Callable[[float, bool], None] = lambda seconds, whole: None
    """Told how many seconds of it were played, and whether that was all."""


class Scene(Protocol):
    """For whom a tool works, and what it may do there."""

    @property
    def device(self) -> str:
        """The device's id. It is made up unless the device is `known`."""

    @property
    def known(self) -> bool:
        """Whether anything may be stored for this device."""

    @property
    def language(self) -> str:
        """The user's language, as a primary subtag: "zh", "en"."""

    def part(self) -> None:
        """Close the connection when this answer is over."""

    def play(self, clip: Clip) -> None:
        """Play a clip when this answer has been spoken; a later one replaces it."""

    def become(self, role: str) -> bool:
        """Take another role from the next answer on; False if there is none of that name."""

    @property
    def last(self) -> float | None:
        """How many seconds ago the user said what came before this question; None if nothing."""

    def forget(self, seconds: float | None, about: str = "") -> None:
        """Drop what was said here in the last `seconds`, or (None) ever; or only `about` that."""

    def offers(self, name: str) -> bool:
        """Say whether there is a tool that its source calls `name`."""

    async def use(self, name: str, arguments: dict[str, Any]) -> Outcome:
        """Call another tool, by the name its source gives it (`self.audio_speaker.set_volume`)."""


Doing = Coroutine[Any, Any, Outcome]
"""A coroutine that awaits Deferreds only."""


@attrs.frozen
class Tool:
    """One thing the assistant can do."""

    name: str
    """As its source calls it; `legal` makes of it what models accept."""
    description: str
    call: Callable[[dict[str, Any], Scene], Doing]
    """Does it, with arguments that are an object. Raises ServiceError; its `why` is told to the
    model."""
    schema: Mapping[str, Any] = attrs.field(factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema of the arguments, an object."""
    alone: bool = False
    """Whether it must not run beside others: it moves something, or its source takes one call
    at a time."""
    patience: float = 30.0
    """Seconds a call may take."""
    quiet: bool = False
    """Whether nothing may be spoken meanwhile: the device that does it has no ear for us."""
    user_only: bool = False
    """Whether it is for operators, and models never learn of it."""


class Source(Protocol):
    """Where tools come from."""

    def tools(self, device: str) -> Sequence[Tool]:
        """Tell which tools there are now for a device, in an order that stays."""


def legal(name: str, taken: Collection[str] = ()) -> str:
    """Make of a tool's `name` one that models accept and that is not `taken`.

    >>> legal("self.audio_speaker.set_volume")
    'self_audio_speaker_set_volume'
    """
    base = _ILLEGAL.sub("_", name).strip("_") or "tool"
    fitting, number = base[:LONGEST_NAME], 1
    while fitting in taken:
        number += 1
        ending = f"_{number}"
        fitting = base[: LONGEST_NAME - len(ending)] + ending
    return fitting
