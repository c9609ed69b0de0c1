"""What tools have in common about words: arguments that models write, and sentences to say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from xiaozhi.errors import ServiceError

LONGEST: Final = 200
"""Characters of a text that a tool takes."""


def said(language: str, chinese: str, english: str) -> str:
    """Choose the sentence for the user's `language`; who speaks neither is told in English."""
    return chinese if language == "zh" else english


def text(arguments: Mapping[str, Any], name: str) -> str:
    """Read an argument that is a short text; "" if it is left out. Raise ServiceError."""
    value = arguments.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ServiceError("tool", f"{name} must be text")
    return " ".join(str(value).split())[:LONGEST]


def number(
    arguments: Mapping[str, Any], name: str, lowest: float = -math.inf, highest: float = math.inf
) -> float | None:
    """Read an argument that is a number, "40%" or "40" too; None if it is left out.

    Raise ServiceError if it is none or out of bounds.
    """
    value = arguments.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and (
        match := re.fullmatch(r"\s*([+-]?\d+(?:\.\d+)?)\s*[%°]?\s*", value)
    ):
        value = float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ServiceError("tool", f"{name} must be a number")
    if not lowest <= value <= highest:
        raise ServiceError("tool", f"{name} must be from {lowest:g} to {highest:g}")
    return value


def whole(arguments: Mapping[str, Any], name: str, lowest: int, highest: int) -> int | None:
    """Read an argument that is a whole number; None if it is left out. Raise ServiceError."""
    value = number(arguments, name, lowest, highest)
    return None if value is None else round(value)
