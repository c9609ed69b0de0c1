"""What a language model is told about its part, before the talk itself.

What is the same for all talks in a role comes first, then what is known of the user and was said
earlier, and the time last: so a provider can cache as much of it as possible.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

_VARIABLE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}|\{(\w+)\}")

TOOLS: Final = (
    "Use a function when it serves the user, without announcing it; never write a function call"
    " as text. If one fails, say so in a few words, and what can be done instead."
)


@attrs.frozen
class Briefing:
    """What is known when a question is asked."""

    prompt: str
    """The part to play. `{name}` and `{{name}}` stand for variables."""
    variables: Mapping[str, str]
    tools: bool = False
    """Whether there are functions."""
    known: Sequence[str] = ()
    """What is known, framed as data: texts of users are never read for variables."""
    now: str = ""
    """The time, in words."""

    def text(self) -> str:
        """Write it."""
        parts = [filled(self.prompt, self.variables)]
        if self.tools:
            parts.append(TOOLS)
        parts += filter(None, self.known)
        if self.now:
            parts.append(f"It is {self.now}.")
        return "\n".join(parts)


def filled(template: str, variables: Mapping[str, str]) -> str:
    """Put the variables into a template, in one pass; what is no variable stays as it is."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], match[0])

    return _VARIABLE.sub(value, template)
