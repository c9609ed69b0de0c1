"""A forecast, and how it is told: the numbers for the model, a sentence for the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import attrs
import msgspec
from msgspec import Meta

from xiaozhi.errors import ServiceError
from xiaozhi.services.kept import Known
from xiaozhi.tooling import Outcome
from xiaozhi.tools._skies import sky
from xiaozhi.tools._words import said

_FELT: Final = 3.0
"""Degrees between what it is and what it feels like that are worth a word."""
_LIKELY: Final = 20.0
"""Per cent of rain that are worth a word."""
_WORDS: Final = {
    "today": 0,
    "今天": 0,
    "今日": 0,
    "tonight": 0,
    "今晚": 0,
    "now": 0,
    "现在": 0,
    "tomorrow": 1,
    "明天": 1,
    "明日": 1,
    "day after tomorrow": 2,
    "the day after tomorrow": 2,
    "后天": 2,
    "大后天": 3,
}
_WEEK: Final = frozenset({"week", "this week", "一周", "本周", "这周", "未来一周"})
_WEEKDAYS: Final = "monday tuesday wednesday thursday friday saturday sunday".split()


class _Current(msgspec.Struct, frozen=True):
    temperature_2m: float
    apparent_temperature: float | None = None
    relative_humidity_2m: float | None = None
    weather_code: int | None = None
    wind_speed_10m: float | None = None


class _Daily(msgspec.Struct, frozen=True):
    time: Annotated[list[date], Meta(min_length=1)]
    weather_code: list[int | None]
    temperature_2m_max: list[float | None]
    temperature_2m_min: list[float | None]
    precipitation_probability_max: list[float | None] = []


class Forecast(msgspec.Struct, frozen=True):
    """What Open-Meteo answers to what we ask."""

    current: _Current
    daily: _Daily
    utc_offset_seconds: Annotated[int, Meta(ge=-86400, le=86400)] = 0

    def days(self, now: float) -> Sequence[_Day]:
        """Tell the days from today on, where it is `now` (seconds since 1970).

        Midnight may have passed since it was made; but where that leaves no day, the clock is
        wrong. Where the columns are not equally long, the shortest counts.
        """
        daily = self.daily
        rain = daily.precipitation_probability_max or [None] * len(daily.time)
        columns = (daily.weather_code, daily.temperature_2m_max, daily.temperature_2m_min, rain)
        days = [_Day(*row) for row in zip(daily.time, *columns, strict=False)]
        today = datetime.fromtimestamp(now + self.utc_offset_seconds, UTC).date()
        return [day for day in days if day.date >= today] or days


@attrs.frozen
class _Day:
    """What is expected of one day."""

    date: date
    sky: int | None
    high: float | None
    low: float | None
    rain: float | None
    """Per cent."""


@attrs.frozen
class Report:
    """Tells the weather of a place, in text for the model and in a sentence for the user."""

    place: str
    known: Known[Forecast]
    language: str
    units: str
    now: float
    """Seconds since 1970."""

    def of(self, day: str) -> Outcome:
        """Tell it for a `day` as the tool's argument has it; raise ServiceError."""
        if not self._days:
            raise ServiceError("tool", "the forecast has no days")
        if day in _WEEK:
            return self._told(self._week())
        index = self._index(day)
        if index is None or index >= len(self._days):
            return Outcome(
                f"there is a forecast only for {self._days[0].date} to {self._days[-1].date}",
                said(
                    self.language,
                    "我只知道未来一周的天气。",
                    "I only know the weather of the coming week.",
                ),
                failed=True,
            )
        return self._told(self._now() if index == 0 else self._then(index))

    @property
    def _days(self) -> Sequence[_Day]:
        return self.known.value.days(self.now)

    def _told(self, sentence: str) -> Outcome:
        """Say it, and give the model all there is: the question may have been about an umbrella."""
        current = self.known.value.current
        degrees, speed = ("°F", "mph") if self.units == "imperial" else ("°C", "km/h")
        lines = [
            f"{self.place}, now: {sky(current.weather_code, 'en')}, "
            f"{current.temperature_2m:g}{degrees}, "
            f"feels like {_shown(current.apparent_temperature)}{degrees}, "
            f"humidity {_shown(current.relative_humidity_2m)}%, "
            f"wind {_shown(current.wind_speed_10m)} {speed}"
        ]
        lines += [
            f"{day.date:%A %Y-%m-%d}: {sky(day.sky, 'en')}, {_shown(day.low)} to "
            f"{_shown(day.high)}{degrees}, chance of rain {_shown(day.rain)}%"
            for day in self._days
        ]
        if self.known.stale:
            minutes = round(self.known.age / 60)
            lines.append(f"This is {minutes} minutes old: the source cannot be reached now.")
            sentence += said(
                self.language,
                f"这是{minutes}分钟前的数据。",
                f" That was {minutes} minutes ago; there is nothing newer.",
            )
        return Outcome("\n".join(lines), sentence)

    def _index(self, day: str) -> int | None:
        """Count the days until then; None if that is no day of the forecast."""
        today = self._days[0].date
        if not day or day in _WORDS:
            return _WORDS.get(day, 0)
        if day in _WEEKDAYS:
            return (_WEEKDAYS.index(day) - today.weekday()) % 7
        if match := re.fullmatch("(?:周|星期|礼拜)([一二三四五六日天])", day):
            return ("一二三四五六日".index(match[1].replace("天", "日")) - today.weekday()) % 7
        try:
            ahead = (date.fromisoformat(day) - today) // timedelta(days=1)
        except ValueError as error:
            raise ServiceError("tool", f"day: {day!r} is no day") from error
        return ahead if ahead >= 0 else None

    def _now(self) -> str:
        current = self.known.value.current
        parts = [sky(current.weather_code, self.language), self._degrees(current.temperature_2m)]
        felt = current.apparent_temperature
        if felt is not None and abs(felt - current.temperature_2m) >= _FELT:
            degrees = self._degrees(felt)
            parts.append(said(self.language, f"体感{degrees}", f"feeling like {degrees}"))
        now, today = self._joined(*parts), self._course(self._days[0])
        return said(
            self.language,
            f"{self.place}现在{now}。今天{today}。",
            f"Now in {self.place}: {now}. Today {today}.",
        )

    def _then(self, index: int) -> str:
        day, name = self._days[index], self._name(index)
        what = self._joined(sky(day.sky, self.language), self._course(day))
        return said(
            self.language, f"{self.place}{name}{what}。", f"{name} in {self.place}: {what}."
        )

    def _week(self) -> str:
        space = said(self.language, "", ": ")
        days = said(self.language, "；", "; ").join(
            self._name(index)
            + space
            + self._joined(sky(day.sky, self.language), self._course(day, rain=False))
            for index, day in enumerate(self._days)
        )
        return said(
            self.language, f"{self.place}未来一周：{days}。", f"The week in {self.place}: {days}."
        )

    def _name(self, index: int) -> str:
        day = self._days[index].date
        names = said(self.language, "今天 明天 后天", "Today Tomorrow").split()
        if index < len(names):
            return names[index]
        return said(self.language, f"周{'一二三四五六日'[day.weekday()]}", f"{day:%A}")

    def _course(self, day: _Day, rain: bool = True) -> str:
        """Say how warm a day will be, and how likely `rain` is."""
        warmth = chance = ""
        if day.low is not None and day.high is not None:
            low, high = round(day.low), self._degrees(day.high)
            warmth = said(self.language, f"{_below(low)}到{high}", f"{low} to {high}")
        if rain and day.rain is not None and day.rain >= _LIKELY:
            chance = said(
                self.language,
                f"降水概率{day.rain:.0f}%",
                f"{day.rain:.0f} percent chance of rain",
            )
        return self._joined(warmth, chance)

    def _degrees(self, value: float) -> str:
        whole = round(value)
        return said(
            self.language, f"{_below(whole)}度", f"{whole} degree" + "s" * (abs(whole) != 1)
        )

    def _joined(self, *parts: str) -> str:
        return said(self.language, "，", ", ").join(part for part in parts if part)


def _below(degrees: int) -> str:
    """Write degrees as Chinese says them."""
    return f"零下{-degrees}" if degrees < 0 else str(degrees)


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"
