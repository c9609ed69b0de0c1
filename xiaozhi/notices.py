"""What is said when timers, alarms and reminders are due, and how they are told in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from xiaozhi import telling
from xiaozhi.services.store.records import Reminder

LATE: Final = 120.0
"""Seconds after which what was due is told as something that has passed."""
_SPOKEN: Final = 5
"""Notices that are said at once; of more the number is told."""

_TITLES: Mapping[str, tuple[str, str]] = {
    "timer": ("计时结束", "Timer"),
    "alarm": ("闹钟", "Alarm"),
    "reminder": ("提醒", "Reminder"),
}
_REPEATS: Mapping[str, tuple[str, str]] = {
    "daily": ("每天", "every day"),
    "weekdays": ("工作日", "on weekdays"),
    "weekends": ("周末", "on weekends"),
    "monday": ("每周一", "every Monday"),
    "tuesday": ("每周二", "every Tuesday"),
    "wednesday": ("每周三", "every Wednesday"),
    "thursday": ("每周四", "every Thursday"),
    "friday": ("每周五", "every Friday"),
    "saturday": ("每周六", "every Saturday"),
    "sunday": ("每周日", "every Sunday"),
}


def title(reminder: Reminder, language: str) -> str:
    """Tell what it is, for the screen."""
    return _TITLES[reminder.kind][language != "zh"]


def notice(reminders: Sequence[Reminder], now: float, language: str) -> str:
    """Say what is due."""
    chinese = language == "zh"
    say = _chinese if chinese else _english
    texts = [say(reminder, now) for reminder in reminders[:_SPOKEN]]
    if (more := len(reminders) - _SPOKEN) > 0:
        texts.append(f"还有{more}个提醒。" if chinese else f"And there are {more} more.")
    return ("" if chinese else " ").join(texts)


def _chinese(reminder: Reminder, now: float) -> str:
    label = reminder.label
    if now - reminder.due > LATE:
        when = _when(reminder, reminder.due, now, "zh")
        match reminder.kind:
            case "timer":
                return f"{_named(label)}{_length(reminder, 'zh')}计时在{when}结束了。"
            case "alarm":
                return f"你错过了{when}的闹钟{_after(label, '：')}。"
        return f"{when}的提醒：{label}。"
    match reminder.kind:
        case "timer":
            return f"时间到了，{_named(label)}{_length(reminder, 'zh')}计时结束了。"
        case "alarm":
            time = telling.time_of_day(_local(reminder, reminder.due), "zh")
            return f"现在是{time}，闹钟响了{_after(label, '：')}。"
    return f"提醒你：{label}。"


def _english(reminder: Reminder, now: float) -> str:
    label, after = reminder.label, _after(reminder.label, ": ")
    named = f"{label} timer" if label else "timer"
    if now - reminder.due > LATE:
        when = _when(reminder, reminder.due, now, "en")
        match reminder.kind:
            case "timer":
                return f"Your {named} of {_length(reminder, 'en')} was over {when}."
            case "alarm":
                return f"You missed your alarm {when}{after}."
        return f"A reminder, due {when}: {label}."
    match reminder.kind:
        case "timer":
            return f"Time is up: your {named} of {_length(reminder, 'en')} is over."
        case "alarm":
            time = telling.time_of_day(_local(reminder, reminder.due), "en")
            return f"It is {time}, and this is your alarm{after}."
    return f"A reminder: {label}."


def coming(reminder: Reminder, now: float, language: str) -> str:
    """Tell when it comes: "tomorrow at 7:00 AM", "every day at 7:00 AM"."""
    if not reminder.repeat:
        return _when(reminder, reminder.due, now, language)
    time = telling.time_of_day(_local(reminder, reminder.due), language)
    often = _REPEATS[reminder.repeat][language != "zh"]
    return f"{often}{time}" if language == "zh" else f"{often} at {time}"


def listed(reminder: Reminder, now: float, language: str) -> str:
    """Tell of one that is still to come: "the alarm at ...", "the pasta timer, with ... left"."""
    chinese, label, when = language == "zh", reminder.label, coming(reminder, now, language)
    match reminder.kind:
        case "timer":
            length = _length(reminder, language)
            if reminder.due <= now:  # it rings, and nobody has answered yet
                left = "已经结束" if chinese else "which is over"
            else:
                span = telling.span(reminder.due - now, language)
                left = f"还剩{span}" if chinese else f"with {span} left"
            if chinese:
                return f"{_named(label)}{length}计时，{left}"
            return f"the {label} timer, {left}" if label else f"the timer of {length}, {left}"
        case "alarm":
            if chinese:
                return f"{when}的闹钟{_after(label, '：')}"
            return f"the alarm {when}{_after(label, ': ')}"
    return f"{when}提醒你{label}" if chinese else f"{when}: {label}"


def _when(reminder: Reminder, moment: float, now: float, language: str) -> str:
    return telling.when(_local(reminder, moment), _local(reminder, now), language)


def _local(reminder: Reminder, moment: float) -> datetime:
    return datetime.fromtimestamp(moment, ZoneInfo(reminder.zone))


def _length(reminder: Reminder, language: str) -> str:
    return telling.span(reminder.due - reminder.made_at, language)


def _named(label: str) -> str:
    return f"{label}的" if label else ""


def _after(label: str, sign: str) -> str:
    return f"{sign}{label}" if label else ""
