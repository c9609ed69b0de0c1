"""What the rules of the grammar are made of: whole utterances, and the calls they come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen
class Command:
    """A tool that is to be called."""

    tool: str
    arguments: dict[str, Any] = attrs.field(factory=dict)


Making = Callable[[Mapping[str, str]], Command | None]
"""Makes the command of what was found, by the names of the pattern's groups; or None."""


class Grammar:
    """Rules in the order they are tried: patterns of whole utterances, and what each makes."""

    def __init__(self, *rules: tuple[Making, Sequence[str]]) -> None:
        """Take the rules."""
        self._rules = [
            (re.compile(pattern), make) for make, patterns in rules for pattern in patterns
        ]

    def understand(self, said: str) -> Command | None:
        """Tell what the first rule that fits makes of it."""
        for pattern, make in self._rules:
            if match := pattern.fullmatch(said):
                found = {name: text for name, text in match.groupdict().items() if text}
                if command := make(found):
                    return command
        return None


def fixed(tool: str, **arguments: Any) -> Making:
    """Make the same command of every match."""
    return lambda found: Command(tool, arguments)
