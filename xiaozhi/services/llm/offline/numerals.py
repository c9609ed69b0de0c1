"""Number words, Chinese and English, and how a number is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

_DIGITS_ZH = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2, "幺": 1}
_UNITS_ZH = {"十": 10, "百": 100, "千": 1000}
_SCALES_ZH = (("亿", 10**8), ("万", 10**4))
RUN_ZH = re.compile(
    r"(?:\d+(?:\.\d+)?|[零一二三四五六七八九两幺十百千万亿])(?:[\d零一二三四五六七八九两幺十百千万亿]|点(?=[\d零一二三四五六七八九幺]))*|半"
)
"""A number in a Chinese text."""
_ATOM_ZH = re.compile(r"\d+|.")

_SMALL_EN = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        " fifteen sixteen seventeen eighteen nineteen".split()
    )
}
_TENS_EN = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
_SCALES_EN = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_PARTS_EN = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "eighth": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
_NAMES_EN = "|".join([*_SMALL_EN, *_TENS_EN, *_SCALES_EN, "hundred", "a"])
RUN_EN = rf"(?:\d+|{_NAMES_EN})(?: (?:\d+|{_NAMES_EN}|and))*"
"""A whole number in an English text, as a pattern."""
_DIGITS_EN = {word: str(value) for word, value in _SMALL_EN.items() if value < 10} | {"oh": "0"}


def parse_zh(text: str) -> Fraction | None:
    """Read a whole Chinese number ("两万五", "三点一四", "3.5万"); None if it is none."""
    if text == "半":
        return Fraction(1, 2)
    for name, scale in _SCALES_ZH:
        head, found, tail = text.rpartition(name)
        if found:
            return _scaled_zh(head, tail, scale)
    whole, _, digits = text.replace("点", ".").partition(".")
    value = _below_10000(whole)
    if value is None or not digits:
        return None if "." in text or "点" in text else value
    decimals = "".join(str(_DIGITS_ZH.get(char, char)) for char in digits)
    return value + Fraction(int(decimals), 10 ** len(decimals)) if decimals.isdecimal() else None


def _scaled_zh(head: str, tail: str, scale: int) -> Fraction | None:
    high = parse_zh(head)
    low = parse_zh(tail) if tail else Fraction(0)
    if high is None or low is None:
        return None
    if len(tail) == 1 and tail in _DIGITS_ZH:
        low *= scale // 10  # 两万五 is 25000
    return high * scale + low


def _below_10000(text: str) -> Fraction | None:
    """Read digits with 十, 百 and 千, or digits alone ("二零二六", "12")."""
    if text.isdecimal():
        return Fraction(int(text))
    if text and all(char in _DIGITS_ZH for char in text):
        return Fraction(int("".join(str(_DIGITS_ZH[char]) for char in text)))
    total, digit, unit, zero = 0, None, 10**4, False
    for atom in _ATOM_ZH.findall(text):
        if atom in _UNITS_ZH:
            if _UNITS_ZH[atom] >= unit or (digit is None and atom != "十"):
                return None
            unit = _UNITS_ZH[atom]
            total, digit, zero = total + (1 if digit is None else digit) * unit, None, False
        elif atom == "零":
            zero = True
        elif digit is None and (atom.isdecimal() or atom in _DIGITS_ZH):
            digit = int(atom) if atom.isdecimal() else _DIGITS_ZH[atom]
        else:
            return None
    if digit is None:
        return Fraction(total) if text else None
    # 一百二 is 120, 一百零二 is 102
    return Fraction(total + digit * (unit // 10 if unit in (100, 1000) and not zero else 1))


def take_en(words: Sequence[str], start: int) -> tuple[Fraction, int] | None:
    """Read the longest number that begins at `words[start]`; return it and where it ends."""
    if words[start] in ("a", "an") and _at(words, start + 1) in {
        *_PARTS_EN,
        *_SCALES_EN,
        "hundred",
    }:
        value, end = Fraction(1), start + 1
        if _at(words, end) in _PARTS_EN:
            return Fraction(1, _PARTS_EN[words[end]]), end + 1
    elif words[start] in ("half", "quarter"):
        return Fraction(1, _PARTS_EN[words[start]]), start + 1
    elif (first := _group_en(words, start)) is None:
        return None
    else:
        value, end = first
    value, end = _large_en(words, value, end)
    if _at(words, end) == "point":
        return _decimals_en(words, value, end + 1)
    if _at(words, end) in _PARTS_EN:
        return value / _PARTS_EN[words[end]], end + 1
    if tuple(words[end : end + 2]) == ("and", "a") and _at(words, end + 2) in ("half", "quarter"):
        return value + Fraction(1, _PARTS_EN[words[end + 2]]), end + 3
    return value, end


def _large_en(words: Sequence[str], value: Fraction, end: int) -> tuple[Fraction, int]:
    """Read on after the first number below a thousand: hundreds, thousands, millions."""
    total = Fraction(0)
    if _at(words, end) == "hundred":
        value, end = _rest_en(words, value * 100, end + 1, below=100)
    least = max(_SCALES_EN.values()) + 1
    while (scale := _SCALES_EN.get(_at(words, end), least)) < least:
        least = scale
        total, end = total + value * scale, end + 1
        value, end = _rest_en(words, Fraction(0), end, below=scale)
        if value and value < 10 and _at(words, end) == "hundred":
            value, end = _rest_en(words, value * 100, end + 1, below=100)
    return total + value, end


def _rest_en(words: Sequence[str], value: Fraction, end: int, below: int) -> tuple[Fraction, int]:
    """Add the number that follows, with or without an "and", if it is small enough."""
    begin = end + 1 if _at(words, end) == "and" else end
    group = _group_en(words, begin) if begin < len(words) else None
    if group is None or group[0] >= below or group[0] == 0:
        return value, end
    return value + group[0], group[1]


def _group_en(words: Sequence[str], start: int) -> tuple[Fraction, int] | None:
    """Read digits, or a number below a hundred."""
    word = words[start]
    if word[0].isdigit():
        return Fraction(word), start + 1
    if word in _TENS_EN:
        ones = _SMALL_EN.get(_at(words, start + 1), 0)
        if 0 < ones < 10:
            return Fraction(_TENS_EN[word] + ones), start + 2
        return Fraction(_TENS_EN[word]), start + 1
    return (Fraction(_SMALL_EN[word]), start + 1) if word in _SMALL_EN else None


def _decimals_en(words: Sequence[str], value: Fraction, end: int) -> tuple[Fraction, int] | None:
    digits = ""
    while (word := _at(words, end)) in _DIGITS_EN or word.isdecimal():
        digits += _DIGITS_EN.get(word, word)
        end += 1
    return (value + Fraction(int(digits), 10 ** len(digits)), end) if digits else None


def _at(words: Sequence[str], index: int) -> str:
    return words[index] if index < len(words) else ""


def say(value: Fraction, language: str) -> str:
    """Say a number in figures, with at most four decimals: "minus 2.5", "负2.5", "约0.3333"."""
    rounded = round(value, 4)
    whole, part = divmod(abs(rounded), 1)
    figures = str(whole)
    if part:
        figures += "." + f"{int(part * 10000):04}".rstrip("0")
    sign, about = ("负", "约") if language == "zh" else ("minus ", "about ")
    return (about if rounded != value else "") + (sign if rounded < 0 else "") + figures
