"""The time and the date, here and elsewhere, and the date in the Chinese calendar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

from msgspec import Meta

from xiaozhi import telling
from xiaozhi.occurrence import Impossible, day_named
from xiaozhi.services import engine
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._places import check_zone, own_zone, zone_of

_PLACE = {
    "type": "string",
    "description": "A city, or a time zone such as Europe/Paris; leave it out for here.",
}
_FESTIVALS: Mapping[str, str] = {
    "春节": "Spring Festival", "元宵节": "the Lantern Festival", "清明": "Qingming",
    "端午节": "the Dragon Boat Festival", "七夕节": "Qixi", "中元节": "the Ghost Festival",
    "中秋节": "the Mid-Autumn Festival", "重阳节": "the Double Ninth Festival",
    "腊八节": "the Laba Festival", "冬至": "the winter solstice", "除夕": "New Year's Eve",
}  # fmt: skip
_ANIMALS: Mapping[str, str] = dict(
    zip(
        "鼠牛虎兔龙蛇马羊猴鸡狗猪",
        "Rat Ox Tiger Rabbit Dragon Snake Horse Goat Monkey Rooster Dog Pig".split(),
        strict=True,
    )
)


class Settings(engine.Settings, frozen=True):
    """What time it is."""

    timezone: Annotated[
        str,
        Meta(
            description="Time zone, such as Asia/Shanghai; if empty, the system's.",
            extra={"check": check_zone},
        ),
    ] = ""


class Kit:
    """Tell the time and the date."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Tell those of the zone in `settings`, or of the system's; raises Unavailable."""
        self._zone = own_zone(settings.timezone, room.now())
        self._room = room

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools."""
        return (
            Tool(
                "get_time",
                "Tells the current time, here or in another place.",
                self._time,
                {"type": "object", "properties": {"place": _PLACE}},
            ),
            Tool(
                "get_date",
                "Tells a date with its weekday, and on request the date in the Chinese lunar "
                "calendar, with festivals and solar terms.",
                self._date,
                {
                    "type": "object",
                    "properties": {
                        "day": {
                            "type": "string",
                            "description": "today (the default), tomorrow, a weekday, "
                            "or YYYY-MM-DD.",
                        },
                        "lunar": {"type": "boolean", "description": "Tell the lunar date."},
                        "place": _PLACE,
                    },
                },
            ),
        )

    async def _time(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        place = str(arguments.get("place") or "")
        now = self._now(place)
        if now is None:
            return _nowhere(place)
        time = telling.time_of_day(now, scene.language)
        if not place:
            say = f"现在是{time}。" if scene.language == "zh" else f"It is {time}."
        elif scene.language == "zh":
            say = f"{place}现在是{telling.weekday(now)}{time}。"
        else:
            say = f"It is {time} on {now:%A} in {place}."
        return Outcome(f"{now:%Y-%m-%d %H:%M, %A}, {now.tzinfo} (UTC{now:%z})", say)

    async def _date(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        place = str(arguments.get("place") or "")
        now = self._now(place)
        if now is None:
            return _nowhere(place)
        try:
            day = day_named(str(arguments.get("day") or "today"), now.date())
        except Impossible as error:
            return Outcome(str(error), failed=True)
        text, say = f"{day:%Y-%m-%d, %A}", telling.day(day, scene.language)
        if arguments.get("lunar"):
            # The package takes 40 ms to import.
            chinese, english = await self._room.pool.run(lunar, day)
            text += f"; lunar calendar: {chinese} ({english})"
            say = f"农历{chinese}" if scene.language == "zh" else english
        near = {-1: "昨天", 0: "今天", 1: "明天"}.get((day - now.date()).days, "那天")
        if scene.language == "zh":
            return Outcome(text, f"{place}{near}是{say}。")
        verb = "is" if day >= now.date() else "was"
        near = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}.get((day - now.date()).days, "It")
        return Outcome(text, f"{near} {verb} {say}.")

    def _now(self, place: str) -> datetime | None:
        zone = zone_of(place) if place else self._zone
        return self._room.now().astimezone(zone) if zone else None


def _nowhere(place: str) -> Outcome:
    return Outcome(
        f"The time zone of {place[:60]!r} is not known; give the name of the zone, such as "
        "Europe/Paris.",
        failed=True,
    )


def lunar(day: date) -> tuple[str, str]:
    """Tell a day in the Chinese calendar, in Chinese and in English. Blocks at first use."""
    from lunar_python import Solar

    told = Solar.fromYmd(day.year, day.month, day.day).getLunar()
    term = told.getJieQi()
    names = [*told.getFestivals(), *([term] if term else [])]
    chinese = (
        f"{told.getYearInGanZhi()}{told.getYearShengXiao()}年"
        f"{told.getMonthInChinese()}月{told.getDayInChinese()}"
    )
    month = told.getMonth()
    leap = " leap" if month < 0 else ""
    english = (
        f"the {_ordinal(told.getDay())} day of the {_ordinal(abs(month))}{leap} lunar month, "
        f"year of the {_ANIMALS[told.getYearShengXiao()]}"
    )
    feasts = [_FESTIVALS[name] for name in names if name in _FESTIVALS]
    return (
        "，".join([chinese, *names]),
        ", ".join([english, *feasts]),
    )


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 != 1 else 0, "th")
    return f"{number}{ending}"
