"""Numbers, durations, clock times and days, as they are said in Chinese and in English.

Texts are as `commands.plain` leaves them: lower case, one blank between words, no punctuation
but within numbers. What is not wholly a number (a duration, ...) is None. The patterns are for
finding one inside a sentence; they match no less than their functions understand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import attrs

# -- numbers --

_DIGITS: Mapping[str, int] = {
    **{sign: value for value, sign in enumerate("零一二三四五六七八九")},
    **{str(value): value for value in range(10)},
    "〇": 0,
    "两": 2,
}
_SIZES = (("亿", 10**8), ("万", 10**4), ("千", 1000), ("百", 100), ("十", 10))
_ONES: Mapping[str, int] = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen".split()
    )
}
_TENS: Mapping[str, int] = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
_SCALES: Mapping[str, int] = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_WORD = "|".join((*_ONES, *_TENS, *_SCALES, "hundred"))

HAN_NUMBER: Final = (
    r"负?(?:[\d零〇一二两三四五六七八九十百千万亿]+(?:[.点][\d零一二三四五六七八九]+)?)"
)
_ENGLISH_DIGITS = r"\d[\d,]*(?:\.\d+)?(?: (?:hundred|thousand|million|billion))?"
ENGLISH_NUMBER: Final = (
    rf"(?:minus |negative |-)?(?:{_ENGLISH_DIGITS}|(?:a )?\b(?:{_WORD})\b"
    rf"(?:(?: and)? (?:{_WORD})\b)*(?: point(?: (?:{_WORD})\b)+)?)"
)


def number(text: str) -> Decimal | None:
    """Understand a number: "3.5", "负三点五", "一百五", "twenty five", "a hundred and one"."""
    negative = re.match(r"负|minus |negative |-", text)
    if negative:
        text = text[negative.end() :]
    if re.fullmatch(r"\d[\d,]*(?:\.\d+)?", text):
        value: Decimal | None = Decimal(text.replace(",", ""))
    else:
        value = _han(text) if re.search("[^a-z0-9 .]", text) else _english(text)
    return -value if value is not None and negative else value


def whole(text: str) -> int | None:
    """Understand a whole number."""
    value = number(text)
    return int(value) if value is not None and value == value.to_integral_value() else None


def _han(text: str) -> Decimal | None:
    before, point, after = text.replace(".", "点").partition("点")
    value = _han_whole(before)
    if value is None or (point and not (after and all(sign in _DIGITS for sign in after))):
        return None
    return Decimal(f"{value}.{''.join(str(_DIGITS[sign]) for sign in after)}")


def _han_whole(text: str) -> int | None:
    for unit, size in _SIZES:
        head, found, rest = text.partition(unit)
        if not found:
            continue
        count = 1 if unit == "十" and head in ("", "零") else _han_whole(head)
        if len(rest) == 1 and rest in _DIGITS and size > 10:
            tail: int | None = _DIGITS[rest] * size // 10  # 一百五 is 150, and 一百零五 105
        else:
            tail = _han_whole(rest.removeprefix("零")) if rest else 0
        if count is None or tail is None or tail >= size or (size < 10**4 and count > 9):
            return None
        return count * size + tail
    if not text or len(text) > 12 or any(sign not in _DIGITS for sign in text):
        return None
    return int("".join(str(_DIGITS[sign]) for sign in text))


def _english(text: str) -> Decimal | None:
    before, point, after = text.partition(" point ")
    value = _english_whole(before.split())
    if value is None:
        return None
    digits = [_ONES.get(word, 99) for word in after.split()]
    if any(digit > 9 for digit in digits) or bool(point) != bool(digits):
        return None
    return Decimal(f"{value}.{''.join(map(str, digits))}")


def _english_whole(words: list[str]) -> Decimal | None:
    """Add up words. `room` is what the next one must be smaller than."""
    total, part, room, scale = Decimal(0), Decimal(-1), 1000, 10**12
    for place, word in enumerate(words):
        if re.fullmatch(r"\d[\d,]*(?:\.\d+)?", word) and not place:
            part, room = Decimal(word.replace(",", "")), 1
        elif word == "a" and not place and len(words) > 1:
            part, room = Decimal(1), 1
        elif word == "and" and room in (100, 1000) and 0 < place < len(words) - 1:
            continue
        elif _takes(word, room):
            part = max(part, Decimal(0)) + (_ONES.get(word) or _TENS.get(word, 0))
            room = 10 if word in _TENS else 1
        elif word == "hundred" and room == 1 and 0 < part < 10:
            part, room = part * 100, 100
        elif word in _SCALES and part > 0 and _SCALES[word] < scale:
            scale = _SCALES[word]
            total, part, room = total + part * scale, Decimal(0), 1000
        else:
            return None
    return total + part if part >= 0 else None


def _takes(word: str, room: int) -> bool:
    """Say whether `word` can come where what comes must be smaller than `room`."""
    if word in _TENS:
        return room >= 100
    return word in _ONES and (room >= 100 or (room == 10 and 0 < _ONES[word] < 10))


# -- durations --

_HALF = Decimal("0.5")
_HAN_UNITS = {"天": 86400, "小时": 3600, "钟头": 3600, "刻钟": 900, "分": 60, "秒": 1}
_HAN_PART = re.compile(
    rf"(半|{HAN_NUMBER})(?:个?(半)?(小时|钟头|刻钟)|(分|秒)钟?|(天))(半(?!个|小|分|秒))?钟?"
)
HAN_DURATION: Final = (
    rf"(?:(?:半|{HAN_NUMBER})(?:个?半?(?:小时|钟头|刻钟)|(?:分|秒)钟?+|天)"
    r"(?:半(?!个|小|分|秒))?钟?(?:零|又)?){1,5}"
)
"""One part for each unit at most: where more could match, they could in more and more ways."""
_ENGLISH_UNITS = {"day": 86400, "hour": 3600, "hr": 3600, "min": 60, "sec": 1}
_AMOUNTS = {"a": Decimal(1), "an": Decimal(1)} | dict.fromkeys(
    ("half", "half a", "half an", "a half"), _HALF
)
_UNIT = r"(?:days?|hours?|hrs?|minutes?|mins?|seconds?|secs?)"
_AMOUNT = rf"(?:a half|half an?|half|(?:a )?quarter of an|an|a|{ENGLISH_NUMBER})(?: and a half)?"
_ENGLISH_PART = re.compile(rf"(?:and )?({_AMOUNT}) ({_UNIT})\b( and a half)?(?: |$)")
ENGLISH_DURATION: Final = (
    rf"{_AMOUNT} {_UNIT}\b(?: and a half)?(?: (?:and )?{_AMOUNT} {_UNIT}\b(?: and a half)?){{0,4}}"
)
LONGEST: Final = 366 * 86400
"""Seconds of the longest duration that is understood."""


def duration(text: str) -> int | None:
    """Understand a duration, in seconds: "一个半小时", "五分半钟", "half an hour", "90 seconds"."""
    seconds, place, before = Decimal(0), 0, 10**9
    han = re.search("[\u4e00-\u9fff]", text)
    while place < len(text):
        part = _HAN_PART.match(text, place) if han else _ENGLISH_PART.match(text, place)
        size = part and (_han_unit(part) if han else _english_unit(part))
        count = part and (_han_amount(part) if han else _english_amount(part))
        if not part or not size or count is None or size >= before:
            return None
        seconds += count * size
        place, before = part.end(), size
        if han and text[place : place + 1] in ("零", "又"):
            place += 1
    return int(seconds) if 0 < seconds <= LONGEST else None


def _han_unit(part: re.Match[str]) -> int:
    return _HAN_UNITS[part[3] or part[4] or part[5]]


def _han_amount(part: re.Match[str]) -> Decimal | None:
    count = _HALF if part[1] == "半" else number(part[1])
    halves = bool(part[2]) + bool(part[6])
    return None if count is None else count + halves * _HALF


def _english_unit(part: re.Match[str]) -> int:
    return next(size for unit, size in _ENGLISH_UNITS.items() if part[2].startswith(unit))


def _english_amount(part: re.Match[str]) -> Decimal | None:
    amount = part[1].removesuffix(" and a half")
    if amount.endswith("quarter of an"):
        count: Decimal | None = _HALF / 2
    else:
        count = _AMOUNTS.get(amount) or number(amount)
    halves = part[1].endswith(" and a half") + bool(part[3])
    return None if count is None else count + halves * _HALF


# -- times of day --


@attrs.frozen
class Clock:
    """A time of day."""

    minutes: int
    """Since midnight; 1440 is the midnight that ends the day."""
    exact: bool = True
    """If not, it may as well be twelve hours later."""
    late: bool = False
    """Whether it is called by the night before it: half past twelve at night, on Monday, is on
    Tuesday's date."""

    def __str__(self) -> str:
        """Write it: "07:30", up to "24:00"."""
        return f"{self.minutes // 60:02}:{self.minutes % 60:02}"


_HAN_MORNING = ("凌晨", "清晨", "早上", "早晨", "上午", "早")
_HAN_NIGHT: Mapping[str, int] = {"晚上": 5, "夜里": 6, "半夜": 6, "深夜": 6, "晚": 5}
"""With the first hour that is not one of the next morning's."""
_HAN_EVENING = ("下午", "傍晚", *_HAN_NIGHT)
_HAN_HALF = "|".join((*_HAN_MORNING, *_HAN_EVENING, "中午"))
HAN_CLOCK: Final = (
    rf"(?:(?:{_HAN_HALF})?(?:{HAN_NUMBER}点(?:钟|整|半|[一三]刻|{HAN_NUMBER}分?)?|\d{{1,2}}:\d\d)"
    r"|中午|正午|午夜)"
)
_HAN_CLOCK = re.compile(
    rf"({_HAN_HALF})?([\d零一二两三四五六七八九十]+)(?:点(钟|整|半|[一三]刻|.+?)?分?|:(\d\d))"
)
_HAN_MINUTES = {"半": 30, "一刻": 15, "三刻": 45, "钟": 0, "整": 0}
_SMALL = rf"(?:{'|'.join((*_ONES, *_TENS))})"
_HOUR = rf"(?:\d{{1,2}}|{'|'.join(list(_ONES)[1:13])})"
_NIGHT: Mapping[str, int] = {"at night": 5, "tonight": 5}
_AFTER = r"am|a m|pm|p m|in the morning|in the afternoon|in the evening|at night|tonight"
ENGLISH_CLOCK: Final = (
    r"(?:noon|midday|midnight|(?:half past|(?:a )?quarter (?:past|to)"
    rf"|(?:\d\d?|{_SMALL}(?: {_SMALL})?)(?: minutes)? (?:past|to)) {_HOUR}\b(?: (?:{_AFTER}))?"
    rf"|{_HOUR}(?:[:.]\d\d|(?: oh)? {_SMALL}(?: {_SMALL})?)?"
    rf"(?: ?(?:{_AFTER})| o'?clock(?: (?:{_AFTER}))?)?\b)"
)
_ENGLISH_CLOCK = re.compile(
    rf"(?:(half|(?:a )?quarter|.+?)(?: minutes)? (past|to) )?({_HOUR})"
    rf"(?:[:.](\d\d)|(?: oh)? ({_SMALL}(?: {_SMALL})?))?(?: o'?clock)?(?: ?({_AFTER}))?"
)
_NAMED: Mapping[str, int] = {
    "noon": 720, "midday": 720, "midnight": 1440, "中午": 720, "正午": 720, "午夜": 1440,
}  # fmt: skip


def clock(text: str) -> Clock | None:
    """Understand a time of day: "下午三点半", "19:05", "half past seven", "7 pm", "noon"."""
    if text in _NAMED:
        return Clock(_NAMED[text])
    if said := _HAN_CLOCK.fullmatch(text):
        minute = _HAN_MINUTES.get(said[3] or "整")
        minute = whole(said[4] or said[3]) if minute is None or said[4] else minute
        named, count = said[1], whole(said[2])
        half = "" if not named else "am" if named in _HAN_MORNING else "pm"
        if named == "中午" or (named == "上午" and count == 12):
            half = "noon"
        return _clock(count, minute, half, _HAN_NIGHT.get(named, 0))
    if said := _ENGLISH_CLOCK.fullmatch(text):
        shift, direction, hour, digits, words, after = said.groups()
        minute = whole(digits or words or "0")
        if direction:
            named = {"half": 30, "quarter": 15, "a quarter": 15}
            offset = named.get(shift) or whole(shift)
            if minute or offset is None or not 0 < offset < 60:
                return None
            minute = offset if direction == "past" else -offset
        half = "" if not after else "am" if after in ("am", "a m", "in the morning") else "pm"
        return _clock(whole(hour), minute, half, _NIGHT.get(after, 0))
    return None


def _clock(hour: int | None, minute: int | None, half: str, night: int) -> Clock | None:
    """Make a time of day; at `night`, if it is not 0, hours below that are the next morning's."""
    if hour is None or minute is None or hour > 24 or not -60 < minute < 60:
        return None
    minutes = 60 * hour + minute
    if hour > 12 or hour == 0:
        return Clock(minutes) if 0 <= minutes <= 1440 else None
    if half == "am":
        return Clock(minutes % 720 if hour == 12 and minute >= 0 else minutes)
    if half == "pm":
        if hour == 12 and minute >= 0:
            if night and minute:
                return Clock(minute, late=True)
            return Clock(1440 if night else minutes)
        if minutes < 60 * night:
            return Clock(minutes, late=True)
        return Clock(minutes + 720)
    if half == "noon":
        return Clock(minutes if hour > 10 else minutes + 720)
    return Clock(minutes, exact=False)


# -- days --

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january february march april may june july august september october november december".split()
)
_NAMED_DAYS: Mapping[str, str] = {
    "today": "today", "tomorrow": "tomorrow", "the day after tomorrow": "+2", "tonight": "today",
    "今天": "today", "今日": "today", "明天": "tomorrow", "明日": "tomorrow", "后天": "+2",
    "大后天": "+3", "今": "today", "明": "tomorrow",
    **{name: name for name in WEEKDAYS},
}  # fmt: skip
REPEATS: Mapping[str, str] = {
    "every day": "daily", "daily": "daily", "every morning": "daily", "every evening": "daily",
    "every weekday": "weekdays", "on weekdays": "weekdays", "weekdays": "weekdays",
    "on weekends": "weekends", "每天": "daily", "天天": "daily", "工作日": "weekdays",
    "每个工作日": "weekdays", "每周末": "weekends", "周末": "weekends", "周一到周五": "weekdays",
    "周一至周五": "weekdays",
}  # fmt: skip
"""What is said of something that comes again."""
_LAST = r"(?:星期|礼拜|周)[一二三四五六日天]"
HAN_DAY: Final = (
    rf"(?:大后天|后天|今天|今日|明天|明日|[今明](?=[早晚])|(?:这|下)?个?{_LAST}"
    r"|[\d一二三四五六七八九十]{1,3}月[\d一二三四五六七八九十]{1,3}[号日])"
)
ENGLISH_DAY: Final = (
    rf"(?:today|tomorrow|the day after tomorrow|(?:on |next |this )?(?:{'|'.join(WEEKDAYS)})"
    rf"|(?:on )?(?:{'|'.join(_MONTHS)}) \d{{1,2}}(?:st|nd|rd|th)?)"
)


def day(text: str) -> str | None:
    """Understand a day.

    It is "today", "tomorrow", so many days from today ("+2"), the next of a weekday ("monday"), one
    in the next week ("next monday"), or the next of a date ("05-09").
    """
    if text in _NAMED_DAYS:
        return _NAMED_DAYS[text]
    if said := re.fullmatch(r"(?:这|(下))?个?(?:星期|礼拜|周)([一二三四五六日天])", text):
        name = WEEKDAYS["一二三四五六日天".index(said[2]) if said[2] != "天" else 6]
        return f"next {name}" if said[1] else name
    if said := re.fullmatch(r"([^月]+)月([^月]+)[号日]", text):
        return _date(whole(said[1]), whole(said[2]))
    if said := re.fullmatch(r"(?:on )?([a-z]+) (\d+)(?:st|nd|rd|th)?", text):
        month = _MONTHS.index(said[1]) + 1 if said[1] in _MONTHS else None
        return _date(month, int(said[2]))
    if said := re.fullmatch(rf"(?:on |this |(next ))?({'|'.join(WEEKDAYS)})", text):
        return f"next {said[2]}" if said[1] else said[2]
    return None


def _date(month: int | None, day: int | None) -> str | None:
    if month is None or day is None or not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{month:02}-{day:02}"
