"""How times, days, spans and figures are told, in Chinese and in English."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Final

_WEEKDAYS: Final = "一二三四五六日"
_UNITS: Final = (
    (86400, "天", "day"),
    (3600, "小时", "hour"),
    (60, "分钟", "minute"),
    (1, "秒", "second"),
)


def time_of_day(moment: datetime, language: str) -> str:
    """Tell the time of day: "下午3点25分", "3:25 PM"."""
    if language != "zh":
        return f"{moment:%I:%M %p}".lstrip("0")
    hour, minute = moment.hour, moment.minute
    part = next(
        name
        for end, name in (
            (5, "凌晨"), (9, "早上"), (12, "上午"), (13, "中午"), (18, "下午"), (24, "晚上")
        )
        if hour < end
    )  # fmt: skip
    return f"{part}{hour if hour <= 12 else hour - 12}点{f'{minute}分' if minute else ''}"


def day(moment: date, language: str) -> str:
    """Tell a day in full: "2026年11月24日，星期二", "Tuesday, November 24, 2026"."""
    if language == "zh":
        return f"{moment.year}年{moment.month}月{moment.day}日，{weekday(moment)}"
    return f"{moment:%A, %B} {moment.day}, {moment.year}"


def weekday(moment: date) -> str:
    """Tell the day of the week in Chinese."""
    return f"星期{_WEEKDAYS[moment.weekday()]}"


def when(moment: datetime, now: datetime, language: str) -> str:
    """Tell a moment as one does who knows what day it is: "明天早上7点", "tomorrow at 7:00 AM"."""
    time = time_of_day(moment, language)
    days = (moment.date() - now.date()).days
    if language == "zh":
        near = {-1: "昨天", 0: "今天", 1: "明天", 2: "后天"}.get(days)
        return f"{near or f'{moment.month}月{moment.day}日'}{time}"
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days)
    return f"{near or f'on {moment:%A, %B} {moment.day}'} at {time}"


def span(seconds: float, language: str) -> str:
    """Tell how long something takes, in two units at most: "1小时30分钟", "2 days 1 hour"."""
    left, parts = max(1, round(seconds)), []
    for size, chinese, english in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(
                f"{count}{chinese}" if language == "zh" else f"{count} {english}{'s' * (count > 1)}"
            )
    return ("" if language == "zh" else " ").join(parts[:2])


def figure(value: Decimal) -> str:
    """Write a number as it is read: without needless zeros, unless it is huge or tiny."""
    if value and not -12 < value.adjusted() < 18:
        return f"{value:.6g}"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
