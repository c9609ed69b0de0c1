"""When something is to happen: named days, local times, and what comes again.

A local time means what it says on the day it comes, whatever the clocks were set to in between:
what is repeated is kept as a time of day in a zone, and each next moment is found from that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Final

_WEEKDAYS: Final = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
REPEATS: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "daily": frozenset(range(7)),
        "weekdays": frozenset(range(5)),
        "weekends": frozenset((5, 6)),
        **{name: frozenset((number,)) for number, name in enumerate(_WEEKDAYS)},
    }
)
"""On which days of the week something comes again, by what that is called."""


class Impossible(ValueError):
    """There is no such day or time; `str()` says so to the model."""


def day_named(name: str, today: date) -> date:
    """Find the day that is called so: as `quantities.day` has it, or as YYYY-MM-DD.

    A weekday is the next there is, perhaps today; a date without a year comes within one.
    Raises Impossible.
    """
    name = name.strip().lower()
    if (near := {"": 0, "today": 0, "tomorrow": 1}.get(name)) is not None:
        return today + timedelta(near)
    if re.fullmatch(r"\+\d{1,3}", name):
        return today + timedelta(int(name))
    weekday = name.removeprefix("next ")
    if weekday in _WEEKDAYS:
        monday = today - timedelta(today.weekday())
        if weekday != name:
            return monday + timedelta(7 + _WEEKDAYS.index(weekday))
        return today + timedelta((_WEEKDAYS.index(name) - today.weekday()) % 7)
    return _dated(name, today)


def _dated(name: str, today: date) -> date:
    try:
        if re.fullmatch(r"\d\d-\d\d", name):
            # The 29th of February may be eight years away.
            years = (year for year in range(today.year, today.year + 9) if _exists(year, name))
            days = (date.fromisoformat(f"{year}-{name}") for year in years)
            return next(day for day in days if day >= today)
        found = date.fromisoformat(name)
        if not date.min.year < found.year < date.max.year:  # a zone could lead beyond
            raise ValueError
        return found
    except ValueError:
        raise Impossible(
            f"there is no day called {name[:40]!r}; say today, tomorrow, a weekday or YYYY-MM-DD"
        ) from None


def _exists(year: int, name: str) -> bool:
    return name != "02-29" or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))


def time_named(name: str) -> int:
    """Find the minutes since midnight of a time as "07:30", up to "24:00"; raises Impossible."""
    if match := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::00)?", name.strip()):
        return 60 * int(match[1]) + int(match[2])
    if name.strip() == "24:00":
        return 1440
    raise Impossible(f"there is no time {name[:40]!r}; write it as HH:MM, in 24 hours")


def at(day: date, minutes: int, zone: tzinfo) -> datetime:
    """Find the moment of a local time.

    One that is left out when clocks go forward comes as much later; of two that are called the
    same when they go back, the first counts.
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minutes)
    # Through UTC and back, 02:30 where there is none becomes 03:30.
    return datetime.fromtimestamp(wall.timestamp(), zone)


def _is_later(moment: datetime, than: datetime) -> bool:
    # Times of one zone are compared by what clocks show, which an hour that is left out confuses.
    return moment.timestamp() > than.timestamp()


def following(after: datetime, minutes: int, repeat: str, zone: tzinfo) -> datetime:
    """Find the next moment after `after` of what comes again at a local time."""
    today = after.astimezone(zone).date()
    days = (today + timedelta(ahead) for ahead in range(-1, 9))  # 24:00 is of the day before
    moments = (at(day, minutes, zone) for day in days if day.weekday() in REPEATS[repeat])
    return next(moment for moment in moments if _is_later(moment, after))


def coming(now: datetime, day: str, minutes: int, either_half: bool, zone: tzinfo) -> datetime:
    """Find the next moment that is meant by a day ("" for whichever comes) and a local time.

    If it may be in `either_half` of the day: where the day is named, between seven and seven, as
    people are up; else whichever comes first. Raises Impossible if it is over.
    """
    today = now.astimezone(zone).date()
    # Twelve is noon, and the midnight that ends the day.
    halves = [minutes, minutes + 720] if either_half else [minutes]
    if not day:
        moments = [
            at(today + timedelta(ahead), half, zone) for ahead in (-1, 0, 1) for half in halves
        ]
        return min(moment for moment in moments if _is_later(moment, now))
    found = day_named(day, today)
    if either_half and minutes < 420:
        halves.reverse()
    for half in halves:
        if _is_later(moment := at(found, half, zone), now):
            return moment
    if day.strip().lower() in _WEEKDAYS:
        return at(found + timedelta(7), halves[0], zone)
    raise Impossible("that moment is over already; ask when it shall be")
