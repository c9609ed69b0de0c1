"""Texts of users as a model may be told them: as data, which no text can break out of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from xiaozhi.tokens import tokens

_TAG: Final = re.compile(r"<([^\s<>]{1,64})>")
_BRACKET: Final = re.compile(r"\[(/?[A-Z][A-Z_]{1,30}|gMASK)\]")


def unmarked(text: str) -> str:
    """Give `text` as it is, but for what a server takes for a mark of its model's template.

    `<|im_end|>` is one token to llama.cpp and its like, whoever wrote it: it would end what the
    user said, and what comes behind it would be somebody else's word. `[INST]` is another such.
    """
    return _BRACKET.sub(r"［\1］", _TAG.sub(r"‹\1›", text))


def harmless(text: str) -> str:
    """Give `text` in one line, without anything a model could take for a mark of its frame."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(unmarked(shown).replace("<", "‹").replace(">", "›").split())


def latest(newest_first: Iterable[str], most: int) -> list[str]:
    """Give as many of the newest texts, made harmless, as have `most` tokens; the oldest first."""
    fitting: list[str] = []
    for text in map(harmless, newest_first):
        most -= tokens(text)
        if most < 0:
            break
        fitting.append(text)
    return fitting[::-1]
