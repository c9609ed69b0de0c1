"""How a note is written that needs no model, in English and in Chinese; one made of the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

NOTES: Final[Mapping[str, tuple[str, str]]] = {
    "name": ("The user's name is {}.", "用户叫{}。"),
    "address": ("The user wants to be called {}.", "用户希望被称为{}。"),
    "home": ("The user lives in {}.", "用户住在{}。"),
    "origin": ("The user comes from {}.", "用户来自{}。"),
    "likes": ("The user likes {}.", "用户喜欢{}。"),
    "dislikes": ("The user does not like {}.", "用户不喜欢{}。"),
    "no allergy": ("The user is not allergic to {}.", "用户对{}不过敏。"),
    "allergy": ("The user is allergic to {}.", "用户对{}过敏。"),
}
"""{} stands for what the user said."""

_SAID: Final = r"((?:(?! (?:and|but|because|since|who|which) )[^,;.，；。]){1,60})"
_FORMS: Final = [
    tuple(re.compile(re.escape(note).replace(r"\{\}", _SAID), re.I) for note in pair)
    for pair in NOTES.values()
]


def phrased(note: str, language: str) -> str:
    """Write a note in Chinese where that is the `language`, else in English, if it is a usual one.

    What the user said stays as it was said.
    """
    chinese = language == "zh"
    for forms, pair in zip(_FORMS, NOTES.values(), strict=True):
        if match := forms[not chinese].fullmatch(note):
            return pair[chinese].format(match[1])
    return note
