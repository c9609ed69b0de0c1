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
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if letter.isalnum()).replace("的", "")


def likeness(wanted: str, name: str) -> float:
    """Tell how alike two `plain` names are: 1 is the same, 0 nothing in common."""
    if wanted == name:
        return 1.0 if wanted else 0.0
    shorter, longer = sorted((wanted, name), key=len)
    # One Han character says as much as a few letters.
    if shorter in longer and (len(shorter) > 2 or len(shorter.encode()) > 5):
        return CERTAIN + (1 - CERTAIN) * len(shorter) / len(longer) * 0.9
    matcher = SequenceMatcher(None, wanted, name, autojunk=False)
    if matcher.real_quick_ratio() < ALIKE or matcher.quick_ratio() < ALIKE:
        return 0.0
    return matcher.ratio()


def ranked(
    wanted: str, named: Iterable[tuple[str, T]], least: float = ALIKE
) -> list[tuple[float, T]]:
    """Rank what has a name like the one that is `wanted`, the likest first.

    A thing may come with several names; the likest counts.
    """
    sought = plain(wanted)
    found: dict[int, tuple[float, T]] = {}
    for name, thing in named:
        like = likeness(sought, plain(name))
        if like >= least and like > found.get(id(thing), (0.0, thing))[0]:
            found[id(thing)] = (like, thing)
    return sorted(found.values(), key=lambda entry: -entry[0])


def best(wanted: str, named: Iterable[tuple[str, T]], least: float = ALIKE) -> T | None:
    """Find the thing whose name is likest to the one that is `wanted`; None if none is."""
    first = ranked(wanted, named, least)[:1]
    return first[0][1] if first else None
