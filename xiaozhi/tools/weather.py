"""The weather anywhere, now and for a week, from Open-Meteo: free, without a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from xiaozhi.services import engine
from xiaozhi.services.fetching import Fetcher
from xiaozhi.services.http import address
from xiaozhi.services.kept import Kept
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._forecast import Forecast, Report
from xiaozhi.tools._words import said, text

LIFETIME: Final = 600.0
"""Seconds a forecast is kept."""
USABLE: Final = 6 * 3600.0
"""Seconds a forecast is better than none."""
PLACES_LIFETIME: Final = 86400.0
DAYS: Final = 7

_CURRENT = "temperature_2m,apparent_temperature,relative_humidity_2m,weather_code,wind_speed_10m"
_DAILY = "weather_code,temperature_2m_max,temperature_2m_min,precipitation_probability_max"
_IMPERIAL = {"temperature_unit": "fahrenheit", "wind_speed_unit": "mph"}
_DIVISION = re.compile(r"(?<=..)(?:特别行政区|自治区|省|市|区|县)$")


class Settings(engine.Settings, frozen=True):
    """Settings of the weather."""

    city: Annotated[
        str, Meta(description="Where the weather is meant if nobody says where.", max_length=100)
    ] = ""
    units: Annotated[
        Literal["metric", "imperial"],
        Meta(description="Degrees Celsius and km/h, or Fahrenheit and miles per hour."),
    ] = "metric"
    url: Annotated[str, Meta(description="Address of Open-Meteo's forecasts, or your own.")] = (
        "https://api.open-meteo.com"
    )
    places_url: Annotated[
        str, Meta(description="Address of Open-Meteo's search for places, or your own.")
    ] = "https://geocoding-api.open-meteo.com"
    timeout_s: Annotated[float, Meta(description="Seconds to wait for an answer.", gt=0, le=60)] = (
        8.0
    )


class _Place(msgspec.Struct, frozen=True):
    name: str
    latitude: float
    longitude: float
    country: str = ""
    country_code: str = ""
    admin1: str = ""
    admin2: str = ""

    @property
    def around(self) -> str:
        """The names of what it is in."""
        return " ".join((self.country, self.country_code, self.admin1, self.admin2)).casefold()


class _Places(msgspec.Struct):
    results: list[_Place] = []


class Kit(Service):
    """The tool `get_weather`."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Raise Unavailable if an address is none, or httpx2 is missing."""
        self._settings = settings
        self._now = room.now
        self._url = address(settings.url, "url").rstrip("/")
        self._places_url = address(settings.places_url, "places_url").rstrip("/")
        self._fetcher = Fetcher(room.reactor, room.pool, settings.timeout_s, largest=2**18)
        self._places: Kept[Sequence[_Place]] = Kept(
            room.reactor, PLACES_LIFETIME, usable=float("inf"), bound=256
        )
        self._forecasts: Kept[Forecast] = Kept(room.reactor, LIFETIME, USABLE)
        self.tools: Sequence[Tool] = (
            Tool(
                "get_weather",
                "The weather at a place: now, on a day up to six days ahead, or for the week.",
                self._weather,
                {
                    "type": "object",
                    "properties": {
                        "place": {
                            "type": "string",
                            "description": "A town, with its country if that was said: "
                            '"Paris, France". Leave it out if no place was said.',
                        },
                        "day": {
                            "type": "string",
                            "description": '"today" (the default), "tomorrow", a day of the week, '
                            'a date as in 2026-01-31, or "week".',
                        },
                    },
                },
                patience=3 * settings.timeout_s,
            ),
        )

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        self._places.stop()
        self._forecasts.stop()
        return self._fetcher.stop()

    async def _weather(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        wanted = text(arguments, "place") or self._settings.city
        language = scene.language
        if not wanted:
            return Outcome(
                "no place was given, and none is set: ask the user for the town",
                said(language, "你想知道哪里的天气？", "Where do you want to know the weather?"),
            )
        place = await self._place(wanted, language)
        if place is None:
            return Outcome(
                f"no place called {wanted!r} is known",
                said(language, f"我没有找到{wanted}。", f"I cannot find a place called {wanted}."),
                failed=True,
            )
        key = (place.latitude, place.longitude)
        known = await self._forecasts.get(key, lambda: self._forecast(place))
        now = self._now().timestamp()
        report = Report(place.name, known, language, self._settings.units, now)
        return report.of(text(arguments, "day").casefold())

    async def _place(self, wanted: str, language: str) -> _Place | None:
        """Find a place by its name, as precisely as it was said: "Paris, Texas"."""
        name, *around = (part.strip() for part in re.split("[,，]", wanted))
        # "北京市" is listed as "北京"; the division is cut off if the name as given is unknown.
        for spelling in dict.fromkeys((name, _DIVISION.sub("", name))):
            key = (spelling.casefold(), language)
            places = (await self._places.get(key, partial(self._find, *key))).value
            fitting = [
                place for place in places if all(part.casefold() in place.around for part in around)
            ]
            if found := fitting or places:
                return found[0]
        return None

    async def _find(self, name: str, language: str) -> Sequence[_Place]:
        params = {"name": name, "count": "10", "language": language, "format": "json"}
        url = f"{self._places_url}/v1/search"
        return (await self._fetcher.json(_Places, url, params)).results

    async def _forecast(self, place: _Place) -> Forecast:
        params = {
            "latitude": f"{place.latitude:.4f}",
            "longitude": f"{place.longitude:.4f}",
            "current": _CURRENT,
            "daily": _DAILY,
            "timezone": "auto",
            "forecast_days": str(DAYS),
        }
        if self._settings.units == "imperial":
            params |= _IMPERIAL
        return await self._fetcher.json(Forecast, f"{self._url}/v1/forecast", params)
