"""Numbers, dates and signs written out in Chinese characters, as a person reads them aloud."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_DIGITS: Final = "零一二三四五六七八九"
_PLACES: Final = ("", "十", "百", "千")
_GROUPS: Final = ((10**8, "亿"), (10**4, "万"))
_LONGEST: Final = 16
"""Digits of a number that is not read one by one."""

_NUMBER: Final = r"(?>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?)"
_FREE: Final = r"(?<![A-Za-z\d])(?<![A-Za-z\d]\.)"
"""Not inside a number, or a name such as MP3."""
_END: Final = r"(?![A-Za-z\d]|\.\d)"

_UNITS: Final = {
    "%": "百分之",
    "‰": "千分之",
}
_AFTER: Final = {
    "°C": "摄氏度",
    "℃": "摄氏度",
    "°F": "华氏度",
    "℉": "华氏度",
    "°": "度",
    "度": "度",
    "km/h": "公里每小时",
    "m/s": "米每秒",
    "km": "公里",
    "cm": "厘米",
    "mm": "毫米",
    "m": "米",
    "kg": "公斤",
    "mg": "毫克",
    "g": "克",
    "ml": "毫升",
    "mL": "毫升",
    "L": "升",
    "km²": "平方公里",
    "m²": "平方米",
    "㎡": "平方米",
}
_COLD: Final = ("°C", "℃", "°", "度")
"""Units of temperatures below zero."""
_MONEY: Final = {"¥": "元", "￥": "元", "$": "美元", "€": "欧元", "£": "英镑"}
_SIGNS: Final = {
    "+": "加",
    "＋": "加",
    "-": "减",
    "−": "减",
    "×": "乘",
    "*": "乘",
    "÷": "除以",
    "=": "等于",
    "＝": "等于",
    "<": "小于",
    ">": "大于",
    "≈": "约等于",
}
_COUNTED: Final = (
    "个点天次位只条本件张块杯碗家种岁周遍层米斤倍句颗瓶台辆座首篇名间份群双套元小公分秒年千万亿"
)
"""First characters of what is counted with 两 instead of 二."""

_WIDE: Final = {ord("０") + digit: str(digit) for digit in range(10)}

_Read = Callable[[re.Match[str]], str]


def cardinal(digits: str) -> str:
    """Read a whole number; one too long for that, or with a zero in front, digit by digit."""
    if len(digits) > _LONGEST or (digits.startswith("0") and len(digits) > 1):
        return spelt(digits)
    words = _whole(int(digits))
    if words.startswith("一十"):
        words = words[1:]
    return "两" + words[1:] if words.startswith("二千") else words


def spelt(digits: str, one: str = "一") -> str:
    """Read digit by digit; `one` may be 幺, as in telephone numbers."""
    return "".join(one if digit == "1" else _DIGITS[int(digit)] for digit in digits)


def read_aloud(text: str) -> str:
    """Write out the numbers, dates, times, units and sums in a Chinese `text`.

    Digits that belong to a name in Latin letters (MP3, GPT-4o) stay.
    """
    text = text.translate(_WIDE)
    for pattern, read in _RULES:
        text = pattern.sub(read, text)
    return text


def _whole(value: int) -> str:
    for size, unit in _GROUPS:
        if value >= size:
            head, rest = divmod(value, size)
            words = ("两" if head == 2 else _whole(head)) + unit
            if not rest:
                return words
            # One zero stands for all the empty places between two figures.
            return words + (_DIGITS[0] if rest < size // 10 else "") + _whole(rest)
    return _below_ten_thousand(value) or _DIGITS[0]


def _below_ten_thousand(value: int) -> str:
    words = ""
    empty = False
    for place in reversed(range(4)):
        digit = value // 10**place % 10
        if digit:
            words += (_DIGITS[0] if empty and words else "") + _DIGITS[digit] + _PLACES[place]
        empty = not digit
    return words


def _number(text: str) -> str:
    """Read a number with or without thousands separators and decimals."""
    whole, _, decimals = text.replace(",", "").partition(".")
    return cardinal(whole) + (f"点{spelt(decimals)}" if decimals else "")


def _signed(match: re.Match[str]) -> str:
    return ("负" if match["sign"] else "") + _number(match["number"])


def _date(match: re.Match[str]) -> str:
    month, day = int(match["month"]), int(match["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{spelt(match['year'])}年{cardinal(str(month))}月{cardinal(str(day))}日"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = int(match["hour"]), int(match["minute"]), match["second"]
    words = ("两" if hour == 2 else cardinal(str(hour))) + "点"
    if minute or second:
        words += (_DIGITS[0] if minute < 10 else "") + cardinal(str(minute)) + "分"
    else:
        words += "整"
    if second:
        words += (_DIGITS[0] if int(second) < 10 else "") + cardinal(str(int(second))) + "秒"
    return words.replace("零零分", "零分").replace("零零秒", "零秒")


def _measure(match: re.Match[str]) -> str:
    unit, number = match["unit"], _number(match["number"])
    negative = bool(match["sign"])
    if unit in _UNITS:
        return ("负" if negative else "") + _UNITS[unit] + number
    cold = "零下" if unit in _COLD else "负"
    return (cold if negative else "") + _two(number) + _AFTER[unit]


def _two(number: str) -> str:
    return "两" if number == "二" else number


def _pattern(sign: bool = True) -> str:
    minus = r"(?P<sign>(?<![\w)）])[-−])?" if sign else ""
    return rf"{minus}{_FREE}(?P<number>{_NUMBER})"


def _any_of(words: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_RULES: Final[tuple[tuple[re.Pattern[str], _Read], ...]] = tuple(
    (re.compile(pattern, re.ASCII), read)
    for pattern, read in (
        (
            rf"{_FREE}(?P<year>\d{{4}})(?P<dash>[-/.])(?P<month>\d\d?)(?P=dash)(?P<day>\d\d?){_END}",
            _date,
        ),
        (
            rf"{_FREE}(?P<hour>[01]?\d|2[0-4])[:：](?P<minute>[0-5]\d)"
            rf"(?:[:：](?P<second>[0-5]\d))?(?![\d:：])",
            _time,
        ),
        (
            rf"{_FREE}(?P<number>\d+)[:：](?=\d+{_END}(?![:：]))",
            lambda match: f"{cardinal(match['number'])}比",
        ),
        # Telephone numbers, with or without dashes.
        (
            rf"{_FREE}(?:1[3-9]\d(?P<gap>[- ]?)\d{{4}}(?P=gap)\d{{4}}|0\d{{2,3}}-\d{{7,8}}){_END}",
            lambda match: spelt(re.sub(r"\D", "", match[0]), "幺"),
        ),
        # Versions and addresses.
        (
            rf"{_FREE}\d+(?:\.\d+){{2,}}{_END}",
            lambda match: "点".join(spelt(part) for part in match[0].split(".")),
        ),
        (
            rf"{_FREE}(?P<year>\d{{4}})\s*[-~～–—]\s*(?=\d{{4}}\s*年)",
            lambda match: f"{spelt(match['year'])}到",
        ),
        (rf"{_FREE}(?P<year>\d{{4}})(?=\s*年)", lambda match: spelt(match["year"])),
        (
            rf"(?P<money>{_any_of(_MONEY)})\s*(?P<number>{_NUMBER})(?P<group>[万亿]?)",
            lambda match: _two(_number(match["number"])) + match["group"] + _MONEY[match["money"]],
        ),
        # From ... to ..., where a unit or a word follows; else it is a subtraction.
        (
            rf"{_FREE}(?P<number>{_NUMBER})\s*(?:[~～–—]|-(?=\d[\d.]*\s*[^\s\d=＝.,，。等]))\s*(?=\d)",
            lambda match: f"{_number(match['number'])}到",
        ),
        (rf"{_pattern()}\s?(?P<unit>%|‰|{_any_of(_AFTER)})(?![A-Za-z])", _measure),
        (
            rf"{_FREE}(?P<part>\d{{1,4}})/(?P<whole>\d{{1,4}})(?![\d/]){_END}",
            lambda match: f"{cardinal(match['whole'])}分之{cardinal(match['part'])}",
        ),
        (
            rf"(?<=[\d)）])\s*(?P<sign>{_any_of(_SIGNS)})\s*(?=[\d(（?？多几]|-\d)",
            lambda match: _SIGNS[match["sign"]],
        ),
        (
            rf"{_FREE}(?<!第)(?<!星期)2(?=\s*(?:[{_COUNTED}]))(?!\s*(?:月|日|号|年级))",
            lambda _: "两",
        ),
        (rf"{_pattern()}(?![A-Za-z])", _signed),
    )
)
