"""Find what somebody means among names, however it was heard or written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final, TypeVar

T = TypeVar("T")

ALIKE: Final = 0.6
"""The least likeness (0 to 1) at which one name is taken for another."""
CERTAIN: Final = 0.9
"""The likeness of a name that holds all that was said, or the other way round."""


def plain(name: str) -> str:
    """Reduce a name to its letters and digits, without case, accents, width and 的.

    >>> plain("Café　Ｄel_Mar!")
    'cafedelmar'
    """
    letters = name if name.isascii() else unicodedata.normalize("NFKD", name)
    return "".join(filter(str.isalnum, letters.casefold())).replace("的", "")


class _Matcher:
    """Tells how alike names are to one that is wanted; all of them `plain`."""

    def __init__(self, wanted: str, least: float) -> None:
        """Take names that are less alike than `least` for not alike at all."""
        self._wanted = wanted
        self._least = least
        # What is second is analysed once.
        self._matcher = SequenceMatcher(None, "", wanted, autojunk=False)

    def likeness(self, name: str) -> float:
        """Tell it from 0, nothing in common, to 1, the same."""
        wanted = self._wanted
        if wanted == name:
            return 1.0 if wanted else 0.0
        shorter, longer = sorted((wanted, name), key=len)
        # One Han character says as much as a few letters.
        if shorter in longer and (len(shorter) > 2 or len(shorter.encode()) > 5):
            return CERTAIN + (1 - CERTAIN) * len(shorter) / len(longer) * 0.9
        if 2 * len(shorter) < self._least * (len(shorter) + len(longer)):
            return 0.0
        self._matcher.set_seq1(name)
        if self._matcher.quick_ratio() < self._least:
            return 0.0
        like = self._matcher.ratio()
        return like if like >= self._least else 0.0


def ranked(
    wanted: str, named: Iterable[tuple[str, T]], least: float = ALIKE
) -> list[tuple[float, T]]:
    """Rank what has a name like the one that is `wanted`, the likest first: 1 is the same.

    A thing may come with several names; the likest counts.
    """
    matcher = _Matcher(plain(wanted), least)
    found: dict[int, tuple[float, T]] = {}
    likes: dict[str, float] = {}  # many things have a name in common: an artist's, a room's
    for name, thing in named:
        if (like := likes.get(name, -1.0)) < 0:
            like = likes[name] = matcher.likeness(plain(name))
        if like > found.get(id(thing), (0.0, thing))[0]:
            found[id(thing)] = (like, thing)
    return sorted(found.values(), key=lambda entry: -entry[0])


def best(wanted: str, named: Iterable[tuple[str, T]], least: float = ALIKE) -> T | None:
    """Find the thing whose name is likest to the one that is `wanted`; None if none is."""
    first = ranked(wanted, named, least)[:1]
    return first[0][1] if first else None
