"""About how many tokens a text is to a language model, told from its script alone.

Tokenisers differ, and none is asked: counting must cost nothing, and a budget has room.
"""

from __future__ import annotations

import re

_PER_LETTER = 1 / 3.5
"""Of Latin letters, digits and signs."""
_PER_CHARACTER = 0.7
"""Of Chinese, Japanese and Korean, and of what is rarer still."""
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\U0010ffff]")


def tokens(text: str) -> int:
    """Estimate the tokens of `text`.

    >>> tokens("What time is it?"), tokens("现在几点了"), tokens("")
    (5, 4, 0)
    """
    wide = len(_WIDE.findall(text))
    return -int(-(wide * _PER_CHARACTER + (len(text) - wide) * _PER_LETTER) // 1)


def shorten(text: str, most: int) -> str:
    """Cut `text` to about `most` tokens, with an ellipsis where it was cut."""
    if tokens(text) <= most:
        return text
    if most < 1:
        return ""
    left, position = most - _PER_CHARACTER, 0  # the ellipsis is one
    while left >= 0:
        left -= _PER_CHARACTER if _WIDE.match(text, position) else _PER_LETTER
        position += 1
    return text[: position - 1].rstrip() + "…"
