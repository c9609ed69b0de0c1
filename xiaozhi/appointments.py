"""What is said about timers, alarms and reminders, as commands.

When something is to happen is told as the tools take it: `seconds` from now, or a `time` ("07:30")
with perhaps a `day` (see `quantities.day`) and a `repeat`; `either_half` where the time may as well
be twelve hours later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from xiaozhi.grammar import Command, Grammar, Making
from xiaozhi.quantities import (
    ENGLISH_CLOCK,
    ENGLISH_DAY,
    ENGLISH_DURATION,
    HAN_CLOCK,
    HAN_DAY,
    HAN_DURATION,
    REPEATS,
    WEEKDAYS,
    clock,
    day,
    duration,
)

_KINDS: Mapping[str, str] = {
    "timer": "timer", "countdown": "timer", "alarm": "alarm", "reminder": "reminder",
    "倒计时": "timer", "计时器": "timer", "定时器": "timer", "计时": "timer", "定时": "timer",
    "闹钟": "alarm", "闹铃": "alarm", "提醒": "reminder",
}  # fmt: skip
_PARTS: Mapping[str, str] = {
    "morning": "in the morning", "afternoon": "in the afternoon", "evening": "in the evening",
    "night": "at night",
}  # fmt: skip
_MORNING: Final = range(4, 12)
"""Hours at which people get up, unless they say otherwise."""
_MORE: Final = re.compile(
    r"\b(?:remind|and then|timer|alarm|every|before|when|unless|if)\b"
    r"|提醒|然后|闹钟|每天|倒计时|之前|时候|如果"
)
"""What makes a reminder more than one thing to say at one time."""


def _timer(found: Mapping[str, str]) -> Command | None:
    seconds = duration(found["span"])
    label = {"label": found["label"]} if "label" in found else {}
    return Command("set_timer", {"seconds": seconds, **label}) if seconds else None


def _alarm(found: Mapping[str, str]) -> Command | None:
    when = _when(found)
    if when is None:
        return None
    if "seconds" in when:
        return Command("set_timer", when)
    if "wake" in found and int(when["time"][:2]) in _MORNING:
        when.pop("either_half", None)
    return Command("set_alarm", when)


def _reminder(found: Mapping[str, str]) -> Command | None:
    when, what = _when(found), found.get("what", "")
    if when is None or _MORE.search(what):
        return None
    if not what:
        return Command("set_timer" if "seconds" in when else "set_alarm", when)
    return Command("set_reminder", {"what": what, **when})


def _when(found: Mapping[str, str]) -> dict[str, Any] | None:
    """Tell the arguments that say when; None if that is not clear."""
    if "span" in found:
        seconds = duration(found["span"])
        return {"seconds": seconds} if seconds else None
    said, every = found["clock"], found.get("every", "")
    part = found.get("part") or every.removeprefix("every ")
    time = clock(f"{said} {_PARTS[part]}" if part in _PARTS else said) or clock(said)
    named = "today" if "tonight" in said or "this" in found else found.get("day")
    symbol = day(found.get("weekly") or named or "")
    if time is None or (named and symbol is None):
        return None
    repeat = "weekly" if "weekly" in found else REPEATS[every] if every else ""
    if time.late:
        if symbol not in (None, "today") or repeat not in ("", "daily"):
            return None  # of which of two nights?
        symbol = None  # the next there is, also for who says "tonight" after midnight
    when: dict[str, Any] = {"time": str(time)}
    if symbol:
        when["day"] = symbol
    if repeat:
        when["repeat"] = repeat
    if not time.exact:
        when["either_half"] = True
    return when


def _about(tool: str) -> Making:
    """Make a command about those there are."""

    def make(found: Mapping[str, str]) -> Command | None:
        every = {"all": True} if "every" in found else {}
        which = {"which": found["which"]} if "which" in found else {}
        seconds = duration(found["span"]) if "span" in found else None
        if "span" in found and not seconds:
            return None
        length = {"seconds": seconds} if seconds else {}
        # 闹钟 is a timer, too, to who has set 五分钟的闹钟.
        kind = "bell" if found["kind"] in ("闹钟", "闹铃") else _KINDS[found["kind"]]
        return Command(tool, {"kind": kind, **every, **which, **length})

    return make


_EVERY = (
    rf"(?:(?P<every>{'|'.join(name for name in REPEATS if name.isascii())})"
    rf"|every (?P<weekly>{'|'.join(WEEKDAYS)}))"
)
_HAN_EVERY = (
    rf"(?:(?P<every>{'|'.join(name for name in REPEATS if not name.isascii())})"
    "|每个?(?P<weekly>(?:星期|礼拜|周)[一二三四五六日天]))"
)
_DAY = (
    rf"(?:(?P<day>{ENGLISH_DAY})|(?P<this>this)(?= (?:morning|afternoon|evening)))"
    rf"(?: (?P<part>{'|'.join(_PARTS)}))?"
)
_IN = rf"in (?P<span>{ENGLISH_DURATION})"
_AT = rf"(?:at )?(?P<clock>{ENGLISH_CLOCK})"
_WHEN = (
    _IN,
    rf"{_AT}(?: (?:{_DAY}|{_EVERY}))?",
    rf"(?:{_DAY}|{_EVERY}) {_AT}",
)
"""The ways to say when, in English."""
_HAN_WHEN = (
    rf"[过等]?(?P<span>{HAN_DURATION})(?:以后|之后|后)",
    rf"(?:{_HAN_EVERY}的?)?(?P<day>{HAN_DAY})?的?(?P<clock>{HAN_CLOCK})",
)
_SET = "(?:(?:set|start|make|create) )?"
_TIMER = "(?:timer|countdown)"
_HAN_TIMER = "(?:倒计时器?|计时器?|定时器?|闹钟|闹铃)"
_HAN_SET = "(?:设置?定?|定|订|上|开始?|来)(?:一?个)?"
_KIND = "(?P<kind>timer|alarm|reminder|countdown)"
_TIMED = "(?P<kind>timer|countdown)"
_HAN_KIND = "(?P<kind>倒计时|计时器|定时器|计时|定时|闹钟|闹铃|提醒)"
_WAKE = "(?P<wake>wake me(?: up)?|get me up)"
_ALARM = rf"{_SET}(?:an? |my |the )?(?P<wake>wake up )?alarm(?: for| to)?"
_ME = "(?:to|that|of|about)"

GRAMMAR = Grammar(
    (
        _timer,
        [
            rf"{_SET}(?:(?:an?|the|my) )?(?:(?P<label>(?!timer|an? )[a-z]+) )?{_TIMER}"
            rf"(?: for| of)? (?P<span>{ENGLISH_DURATION})",
            rf"{_SET}(?:an? )?(?P<span>{ENGLISH_DURATION}) {_TIMER}",
            rf"count down(?: from| for)? (?P<span>{ENGLISH_DURATION})",
            rf"(?:{_HAN_SET})?(?P<span>{HAN_DURATION})的?{_HAN_TIMER}",
            rf"(?:{_HAN_SET})?{_HAN_TIMER}(?P<span>{HAN_DURATION})",
        ],
    ),
    (
        _alarm,
        [
            *(rf"{_WAKE} {when}" for when in _WHEN),
            *(rf"{when} {_WAKE}" for when in _WHEN),
            *(rf"{_ALARM} {when}" for when in _WHEN),
            *(rf"{when}(?:准时)?(?P<wake>叫我起床|叫醒我|喊我起床|叫我起来)" for when in _HAN_WHEN),
            *(rf"(?P<wake>[叫喊]我){when}起床" for when in _HAN_WHEN),
            rf"(?:{_HAN_SET})?{_HAN_WHEN[1]}的?(?:闹钟|闹铃)",
            rf"(?:{_HAN_SET})?(?:闹钟|闹铃)到?{_HAN_WHEN[1]}",
        ],
    ),
    (
        _reminder,
        [
            *(rf"remind me {when}(?: {_ME} (?P<what>.+))?" for when in _WHEN),
            *(rf"remind me {_ME} (?P<what>.+?) {when}" for when in _WHEN),
            *(rf"{when} remind me {_ME} (?P<what>.+)" for when in _WHEN),
            *(
                rf"{when}记?得?(?:提醒|[叫喊])我(?:一下|一声)?要?(?P<what>.+)?"
                for when in _HAN_WHEN
            ),
            *(rf"提醒我{when}要?(?P<what>.+)" for when in _HAN_WHEN),
        ],
    ),
    (
        _about("list_reminders"),
        [
            rf"(?:what|which|how many) {_KIND}s (?:do i have|are (?:set|there|running|on))",
            rf"(?:list|show|tell me|read)(?: me)? (?:all )?(?:of )?(?:my |the )?{_KIND}s",
            rf"(?:what are my|do i have(?: an?| any)?) {_KIND}s?",
            rf"how (?:much time|long) is left on (?:the|my) {_KIND}",
            rf"我?(?:现在|都|还)*(?:有|[设定]了)(?:什么|哪些|几个|多少)个?{_HAN_KIND}",
            rf"(?:查看|看看|列出|查询)(?:一下)?(?:我的|所有的?)?{_HAN_KIND}",
            rf"{_HAN_KIND}(?:还剩|还有|剩)(?:多久|多长时间|多少时间)",
        ],
    ),
    (
        _about("cancel_reminder"),
        [
            r"(?:cancel|delete|remove|clear|turn off|stop) "
            rf"(?:(?P<every>all(?: of)?(?: the| my)?) |the |my )?{_KIND}s?",
            rf"(?:cancel|delete|stop) (?:the |my )(?P<span>{ENGLISH_DURATION}) {_TIMED}",
            rf"(?:cancel|delete|stop) (?:the |my )(?!all )(?P<which>[a-z]+) {_TIMED}",
            rf"(?:取消|删除|删掉|关掉|关闭)(?:这个|那个|我的)?(?P<span>{HAN_DURATION})的?{_HAN_KIND}",
            rf"把(?:这个|那个|我的)?(?P<span>{HAN_DURATION})的?{_HAN_KIND}"
            "(?:关|取消|删)(?:掉|了|掉了)",
            r"(?:取消|删除|删掉|关掉|关闭|清除|清空)"
            rf"(?:(?P<every>所有|全部)的?)?(?:这个|那个|我的)?{_HAN_KIND}",
            rf"把(?:(?P<every>所有|全部)的?)?(?:这个|那个|我的)?{_HAN_KIND}[都全]?"
            "(?:关|取消|删)(?:掉|了|掉了)",
        ],
    ),
)
