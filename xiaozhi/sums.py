"""Sums as they are said, in Chinese and English: "三加五等于多少", "what is 12 times 7".

Texts are as `commands.plain` leaves them. What comes out is an expression in Python's notation,
of numbers, `+ - * / **`, brackets, `sqrt` and `cbrt`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from xiaozhi.quantities import ENGLISH_NUMBER, HAN_NUMBER, number

_FRAME: Final = re.compile(
    r"(?P<asked>(?:what is|what's|how much is|what does"
    r"|计算一下|算一下|计算|算算|算) ?)?(?P<sum>.+?)"
    r"(?: equals?(?: what)?| make| is|=|等于|是|得)?(?P<how>多少|几| ?=)?"
)
_WORDS: Mapping[str, str] = {
    "to the power of": "**", "raised to the power of": "**", "multiplied by": "*", "times": "*",
    "divided by": "/", "over": "/", "plus": "+", "minus": "-", "x": "*", "and": "+",
    "加上": "+", "加": "+", "减去": "-", "减": "-", "乘以": "*", "乘上": "*", "乘": "*",
    "除以": "/", "+": "+", "-": "-", "*": "*", "/": "/", "×": "*", "÷": "/", "^": "**",
}  # fmt: skip
_ENGLISH_OPERATOR = "|".join(
    re.escape(word)
    for word in sorted(_WORDS, key=len, reverse=True)
    if word.isascii() and word != "and"
)
_HAN_OPERATOR = "|".join(
    re.escape(word)
    for word in sorted(_WORDS, key=len, reverse=True)
    if not re.fullmatch("[a-z ]+", word) or word == "x"
)
_NUMBER = {"en": ENGLISH_NUMBER, "zh": HAN_NUMBER}
_CHAIN = {
    "en": re.compile(rf"{ENGLISH_NUMBER}(?: ?(?:{_ENGLISH_OPERATOR}) ?(?:{ENGLISH_NUMBER}))+"),
    "zh": re.compile(rf"{HAN_NUMBER}(?: ?(?:{_HAN_OPERATOR}) ?(?:{HAN_NUMBER}))+"),
}
_LINK = {
    "en": re.compile(rf"({ENGLISH_NUMBER}) ?({_ENGLISH_OPERATOR})? ?"),
    "zh": re.compile(rf"({HAN_NUMBER}) ?({_HAN_OPERATOR})? ?"),
}
_FORMS: Final = tuple(
    (re.compile(pattern.replace("EN", ENGLISH_NUMBER).replace("ZH", HAN_NUMBER)), form)
    for pattern, form in (
        ("(?:the )?square root of (EN)", "sqrt({0})"),
        ("(?:the )?cube root of (EN)", "cbrt({0})"),
        ("(EN) squared", "{0} ** 2"),
        ("(EN) cubed", "{0} ** 3"),
        ("(EN) ?(?:percent|per cent|%) of (EN)", "{0} / 100 * {1}"),
        ("half of (EN)", "{0} / 2"),
        ("(ZH)的平方根|根号(ZH)", "sqrt({0})"),
        ("(ZH)的立方根", "cbrt({0})"),
        ("(ZH)的平方", "{0} ** 2"),
        ("(ZH)的(?:立方|三次方)", "{0} ** 3"),
        ("(ZH)的(ZH)次方", "{0} ** {1}"),
        ("(ZH)的百分之(ZH)", "{1} / 100 * {0}"),
        ("(ZH)的一半", "{0} / 2"),
        ("(ZH)%的(ZH)|(ZH)的(ZH)%", "{0} / 100 * {1}"),
    )
)


def expression(text: str) -> str | None:
    """Write the sum that `text` is; None if it is none, or perhaps something else."""
    frame = _FRAME.fullmatch(text)
    if frame is None:
        return None
    said = frame["sum"].strip()
    if re.search(r"\d[-/]\d", said) and "算" not in (frame["asked"] or ""):
        return None  # a date, a telephone number, round the clock
    for pattern, form in _FORMS:
        if match := pattern.fullmatch(said):
            numbers = [number(group) for group in match.groups() if group]
            return None if None in numbers else form.format(*map(_bracketed, numbers))
    for language, chain in _CHAIN.items():
        if chain.fullmatch(said):
            return _chained(said, language)
    return None


def _chained(said: str, language: str) -> str | None:
    parts: list[str] = []
    for value, operator in _LINK[language].findall(said):
        figure = number(value)
        if figure is None:
            return None
        parts += [_bracketed(figure), *([_WORDS[operator]] if operator else [])]
    return " ".join(parts)


def _bracketed(figure: object) -> str:
    text = str(figure)
    return f"({text})" if text.startswith("-") else text
