"""Texts of users as a model may be told them: as data, which no text can break out of."""

from __future__ import annotations

from collections.abc import Iterable

from xiaozhi.tokens import tokens


def harmless(text: str) -> str:
    """Give `text` in one line, without anything a model could take for a mark of its frame."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(shown.replace("<", "‹").replace(">", "›").split())


def latest(newest_first: Iterable[str], most: int) -> list[str]:
    """Give as many of the newest texts, made harmless, as have `most` tokens; the oldest first."""
    fitting: list[str] = []
    for text in map(harmless, newest_first):
        most -= tokens(text)
        if most < 0:
            break
        fitting.append(text)
    return fitting[::-1]
