"""Timers, alarms and reminders: set, told and cancelled by voice."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import attrs
from msgspec import Meta

from xiaozhi import notices, telling
from xiaozhi.errors import Unavailable
from xiaozhi.occurrence import REPEATS, Impossible, coming, following, time_named
from xiaozhi.services import engine
from xiaozhi.services.reminders import SOON
from xiaozhi.services.store.records import Full, Reminder, ReminderKind
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._places import check_zone, own_zone
from xiaozhi.tools._words import said

_LONGEST: Final = 366 * 86400
"""Seconds from now to the latest that is kept."""
_STUTTER: Final = 10.0
"""Seconds within which what is set again is the same."""
_WORDS: Final = 200
"""Letters of what is to be remembered."""

_WHEN: Mapping[str, Any] = {
    "time": {"type": "string", "description": "Local time as HH:MM, in 24 hours."},
    "day": {
        "type": "string",
        "description": "today, tomorrow, a weekday such as monday, or YYYY-MM-DD; left out, it is "
        "the next time the clock shows that.",
    },
    "repeat": {
        "type": "string",
        "enum": ["daily", "weekdays", "weekends", "weekly"],
        "description": "Whether it comes again; weekly is on the weekday of `day`.",
    },
    "either_half": {
        "type": "boolean",
        "description": "True if the user did not say whether morning or evening is meant.",
    },
}
_SPAN: Mapping[str, Any] = {
    unit: {"type": "number", "description": f"{unit.capitalize()} from now; units add up."}
    for unit in ("hours", "minutes", "seconds")
}
# A bell is a timer or an alarm.
_KIND: Mapping[str, Any] = {"type": "string", "enum": ["any", "timer", "alarm", "bell", "reminder"]}
_NAMES: Mapping[str, tuple[str, str]] = {
    "any": ("计时、闹钟或提醒", "timers, alarms or reminders"),
    "timer": ("计时", "timers"),
    "alarm": ("闹钟", "alarms"),
    "bell": ("计时或闹钟", "timers or alarms"),
    "reminder": ("提醒", "reminders"),
}


class Settings(engine.Settings, frozen=True):
    """Where alarms ring by."""

    timezone: Annotated[
        str,
        Meta(
            description="Time zone of the users, such as Asia/Shanghai; if empty, the system's.",
            extra={"check": check_zone},
        ),
    ] = ""


class Kit:
    """Set timers, alarms and reminders; list and cancel them."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Use the zone in `settings`; raises Unavailable where nobody can be told anything."""
        if room.reminders is None:
            raise Unavailable("nobody can be told what is due here", "这里无法到时提醒")
        self._zone = own_zone(settings.timezone, room.now())
        self._room = room
        self._reminders = room.reminders
        what = {"type": "string", "description": "What to remind the user of, as told to them."}
        label = {"type": "string", "description": "What it is for, if the user said so."}
        which = {"type": "string", "description": "Words of its label, or its time as HH:MM."}
        every = {"type": "boolean", "description": "True to cancel all of the kind."}
        length = {"type": "number", "description": "Seconds the timer was set for, if said."}
        self.tools: Sequence[Tool] = (
            _tool(
                "set_timer",
                "Rings after some time. Say exactly what comes back.",
                self._set_timer,
                {**_SPAN, "label": label},
            ),
            _tool(
                "set_alarm",
                "Rings at a local time, once or repeatedly.",
                self._set_alarm,
                {**_WHEN, "label": label},
                "time",
            ),
            _tool(
                "set_reminder",
                "Tells the user something after some time, or at a local time.",
                self._set_reminder,
                {"what": what, **_SPAN, **_WHEN},
                "what",
            ),
            _tool(
                "list_reminders",
                "Lists the timers, alarms and reminders that are set.",
                self._list,
                {"kind": _KIND},
            ),
            _tool(
                "cancel_reminder",
                "Cancels timers, alarms or reminders.",
                self._cancel,
                {"kind": _KIND, "which": which, "seconds": length, "all": every},
            ),
        )

    # -- setting --

    async def _set_timer(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        return await self._set("timer", arguments, str(arguments.get("label") or ""), scene)

    async def _set_alarm(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        return await self._set("alarm", arguments, str(arguments.get("label") or ""), scene)

    async def _set_reminder(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        return await self._set("reminder", arguments, str(arguments.get("what") or ""), scene)

    async def _set(
        self, kind: ReminderKind, arguments: dict[str, Any], label: str, scene: Scene
    ) -> Outcome:
        now = self._room.now()
        try:
            when = self._when(arguments, now)
        except Impossible as error:
            return Outcome(str(error), failed=True)
        reminder = Reminder(
            id=secrets.token_hex(8),
            device_id=scene.device,
            kind=kind,
            label="".join(sign for sign in label[:_WORDS] if sign.isprintable()).strip(),
            due=when.due,
            minutes=when.minutes,
            zone=str(self._zone),
            repeat=when.repeat,
            language="zh" if scene.language == "zh" else "en",
            made_at=now.timestamp(),
        )
        try:
            # Who goes on speaking says the same again: one timer, not two.
            there = await self._reminders.all(scene.device, scene.known)
            if not any(_same(reminder, one) for one in there):
                await self._reminders.add(reminder, scene.known)
        except Full as error:
            chinese = scene.language == "zh"
            say = "已经满了，请先取消一些。" if chinese else "There are too many: cancel some."
            return Outcome(error.why, say, failed=True)
        say = _confirmed(reminder, now.timestamp())
        return Outcome(f"{say} (due {datetime.fromtimestamp(when.due, self._zone):%F %T %Z})", say)

    def _when(self, arguments: dict[str, Any], now: datetime) -> _When:
        """Find the moment that is meant; raises Impossible."""
        span = _span(arguments)
        if span > 0:
            due = now.timestamp() + span
            when = _When(due)
        elif arguments.get("time"):
            when = self._at(arguments, now)
        else:
            raise Impossible("say when: so long from now, or a time")
        if when.due > now.timestamp() + _LONGEST:
            raise Impossible("that is more than a year away")
        return when

    def _at(self, arguments: dict[str, Any], now: datetime) -> _When:
        minutes = time_named(str(arguments["time"]))
        day, repeat = str(arguments.get("day") or ""), str(arguments.get("repeat") or "")
        either = bool(arguments.get("either_half")) and not repeat
        if repeat in REPEATS:
            moment = following(now, minutes, repeat, self._zone)
        else:
            moment = coming(now, day, minutes, either, self._zone)
            local = moment.astimezone(self._zone)
            minutes = minutes if repeat else local.hour * 60 + local.minute
            repeat = f"{local:%A}".lower() if repeat == "weekly" else ""
        return _When(moment.timestamp(), minutes, repeat)

    # -- those that are set --

    async def _list(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        kind = str(arguments.get("kind") or "any")
        there = await self._there(kind, scene)
        if not there:
            return _nothing(kind, scene.language)
        told = self._told(there, scene.language)
        say = f"你有{told}。" if scene.language == "zh" else f"You have {told}."
        return Outcome(say, say)

    async def _cancel(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        kind, which = str(arguments.get("kind") or "any"), str(arguments.get("which") or "")
        there = await self._there(kind, scene)
        if not there:
            return _nothing(kind, scene.language)
        seconds = arguments.get("seconds")
        if isinstance(seconds, int | float) and seconds > 0:
            there = [one for one in there if _lasts(one, seconds)]
        if which:
            there = [one for one in there if self._is(one, which)]
        if not there:
            say = said(scene.language, "没有找到你说的那个。", "I found none like that.")
            return Outcome(say, say)
        chinese = scene.language == "zh"
        told = self._told(there, scene.language)
        if len(there) > 1 and not arguments.get("all"):
            say = f"你有{told}。要取消哪一个？" if chinese else f"You have {told}. Which one?"
            return Outcome(f"Not cancelled, since it is not clear which. {say}", say)
        await self._reminders.cancel(scene.device, scene.known, [one.id for one in there])
        say = f"已取消：{told}。" if chinese else f"Cancelled: {told}."
        return Outcome(say, say)

    async def _there(self, kind: str, scene: Scene) -> list[Reminder]:
        there = await self._reminders.all(scene.device, scene.known)
        wanted = ("timer", "alarm") if kind == "bell" else (kind,)
        return [one for one in there if kind == "any" or one.kind in wanted]

    def _told(self, reminders: Sequence[Reminder], language: str) -> str:
        now = self._room.now().timestamp()
        told = [notices.listed(one, now, language) for one in reminders]
        return ("；" if language == "zh" else "; ").join(told)

    def _is(self, reminder: Reminder, which: str) -> bool:
        local = datetime.fromtimestamp(reminder.due, self._zone)
        return which.casefold() in reminder.label.casefold() or which.zfill(5) == f"{local:%H:%M}"


@attrs.frozen
class _When:
    """When something is due."""

    due: float
    minutes: int = -1
    repeat: str = ""


def _tool(
    name: str, description: str, call: Any, properties: Mapping[str, Any], *required: str
) -> Tool:
    schema = {"type": "object", "properties": dict(properties), "required": list(required)}
    return Tool(name, description, call, schema)


def _span(arguments: Mapping[str, Any]) -> float:
    """Add up the units of a time from now, in seconds; raises Impossible."""
    units = (("hours", 3600), ("minutes", 60), ("seconds", 1))
    given = [(arguments.get(unit) or 0, size) for unit, size in units]
    if any(not isinstance(count, int | float) or not 0 <= count < 10**9 for count, _ in given):
        raise Impossible("hours, minutes and seconds must be numbers, none of them negative")
    return sum(count * size for count, size in given)


def _same(one: Reminder, other: Reminder) -> bool:
    """Say whether somebody means one thing by both."""
    near = abs(one.due - other.due) < _STUTTER and abs(one.made_at - other.made_at) < _STUTTER
    return near and (one.kind, one.label, one.repeat) == (other.kind, other.label, other.repeat)


def _lasts(reminder: Reminder, seconds: float) -> bool:
    """Say whether it is a timer that was set for so long."""
    return reminder.kind == "timer" and abs(reminder.due - reminder.made_at - seconds) < 1


def _confirmed(reminder: Reminder, now: float) -> str:
    """Say that it is set, and for when; and what if the device sleeps by then."""
    language, label = reminder.language, reminder.label
    chinese = language == "zh"
    when = notices.coming(reminder, now, language)
    if reminder.minutes < 0:
        span = telling.span(reminder.due - now, language)
        when = f"{span}后" if chinese else f"in {span}"
    match reminder.kind:
        case "timer":
            say = f"好的，{when}告诉你。" if chinese else f"OK, I will tell you {when}."
            if label:
                chosen = f"好的，{label}计时，{when}告诉你。"
                say = chosen if chinese else f"OK, your {label} timer rings {when}."
        case "alarm":
            say = f"好的，闹钟会在{when}响。" if chinese else f"OK, your alarm rings {when}."
        case "reminder":
            say = (
                f"好的，{when}提醒你{label}。"
                if chinese
                else f"OK, I will remind you {when}: {label}."
            )
    if reminder.due - now <= SOON:
        return say
    if chinese:
        return say + "如果那时我在休息，会在你下次唤醒我时告诉你。"
    return f"{say} If I am asleep by then, I will tell you when you next wake me."


def _nothing(kind: str, language: str) -> Outcome:
    chinese, english = _NAMES[kind]
    say = f"现在没有{chinese}。" if language == "zh" else f"There are no {english}."
    return Outcome(say, say)
