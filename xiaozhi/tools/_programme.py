"""What one device plays: tracks or a station, where it is, and what comes next."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import attrs
from twisted.logger import Logger

from xiaozhi.errors import ServiceError
from xiaozhi.tooling import Clip
from xiaozhi.tools._decoding import RATE

_BAD: Final = 5
"""Items in a row that cannot be played, after which the rest is not tried."""


class Item(Protocol):
    """Something to play."""

    @property
    def title(self) -> str:
        """What it is called, for a screen and for the model."""

    @property
    def endless(self) -> bool:
        """Whether nothing follows it, so that its end is a failure."""

    def named(self, language: str) -> str:
        """What it is called in a sentence."""

    def sound(self, start: float) -> AsyncGenerator[bytes, None]:
        """Yield its sound, from `start` (seconds) on; raise ServiceError."""


@attrs.frozen
class _Mark:
    """Where in a clip an item begins."""

    seconds: float
    index: int
    start: float
    """From where on it is played."""


@attrs.define
class Programme:
    """A list of items, the one that is played, and how far it has come."""

    items: Sequence[Item]
    index: int = 0
    position: float = 0.0
    """Seconds into the item."""
    _marks: list[_Mark] = attrs.field(factory=list)
    """Of the clip that was made last."""

    log = Logger()

    @property
    def item(self) -> Item:
        """What is played, or would be."""
        return self.items[self.index]

    def move(self, step: int) -> None:
        """Go to the next item, or (-1) to the one before; after the last comes the first."""
        self.index = (self.index + step) % len(self.items)
        self.position = 0.0

    def clip(self) -> Clip:
        """Play from where it is to the end of the list. Clips made before tell nothing any more."""
        marks: list[_Mark] = []
        self._marks = marks

        def over(seconds: float, whole: bool) -> None:
            if self._marks is marks and marks:
                self._stopped(seconds, whole)

        return Clip(self.item.title, RATE, lambda: self._sound(marks), over)

    async def _sound(self, marks: list[_Mark]) -> AsyncGenerator[bytes, None]:
        """Yield one item after the other; raise ServiceError if none can be played."""
        played, bad, start = 0, 0, self.position
        for index in range(self.index, len(self.items)):
            marks.append(_Mark(played / RATE, index, start))
            try:
                async with aclosing(self.items[index].sound(start)) as sound:
                    async for piece in sound:
                        played += len(piece) // 2
                        bad = 0
                        yield piece
            except ServiceError as error:
                self.log.warn(
                    "cannot play {title}: {why}", title=self.items[index].title, why=error.why
                )
                bad += 1
                if (
                    self.items[index].endless
                    or bad >= _BAD
                    or (not played and index == len(self.items) - 1)
                ):
                    raise
            start = 0.0

    def _stopped(self, seconds: float, whole: bool) -> None:
        """Note where the clip was stopped; after all of it, the list begins again."""
        if whole and not self.item.endless:
            self.index, self.position = 0, 0.0
            return
        mark = next(mark for mark in reversed(self._marks) if mark.seconds <= max(seconds, 0.0))
        self.index = mark.index
        self.position = mark.start + seconds - mark.seconds
