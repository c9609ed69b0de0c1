"""What of an answer is not decided yet: whether it is said, or was no text.

Beginnings are searched with patterns that also match every beginning of what they are to match,
so that what is cut can wait for the rest. `growing` writes such a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final, Generic, TypeVar

import attrs

MARGIN: Final = 100
"""Characters within which the end of an element is found, however it is cut."""

T = TypeVar("T")


def growing(*parts: str) -> str:
    """Write the pattern of some parts in a row that matches every beginning of them as well."""
    return "".join(f"(?:{part}" for part in parts) + ")?" * len(parts)


@attrs.define
class Undecided(Generic[T]):
    """The end of the answer so far, and what was said or found before it."""

    text: str = "\n"
    """What is not decided, behind the character that stood before it."""
    passed: int = 0
    """Characters of the answer before `text`."""
    label: str = ""
    """What is said only if no call is behind it."""
    ended: bool = False
    """Whether no more comes."""
    things: int = 0
    """How many things were found."""
    _out: list[str | T] = attrs.field(factory=list)

    def taken(self) -> list[str | T]:
        """Return what was said and found since the last time."""
        out, self._out = self._out, []
        return out

    def say(self, end: int) -> None:
        """Say the text before an index."""
        if end > 1:
            self.put(self.label + self.text[1:end])
            self.label = ""
            self.text = self.text[end - 1 :]
            self.passed += end - 1

    def put(self, said: str) -> None:
        """Say something."""
        if self._out and isinstance(before := self._out[-1], str):
            self._out[-1] = before + said
        else:
            self._out.append(said)

    def found(self, things: list[T]) -> None:
        """Tell of things that stood there."""
        self.things += len(things)
        self._out.extend(things)

    def drop(self, end: int, before: str = " ") -> None:
        """Pass over what is not said; take `before` for what stood before the rest."""
        self.label = ""
        self.text = before + self.text[end:]
        self.passed += end - 1

    def skip(self, end: re.Pattern[str]) -> Generator[None, None, None]:
        """Pass over all up to the `end` of it, which is found within the margin."""
        while not (close := end.search(self.text, 1)):
            self.drop(len(self.text) if self.ended else max(1, len(self.text) - MARGIN))
            if self.ended:
                return
            yield
        self.drop(close.end(), "\n")
