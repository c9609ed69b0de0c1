"""The weather, against Open-Meteo's interface on loopback.

The server is written from open-meteo.com/en/docs (Forecast) and /en/docs/geocoding-api.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
from twisted.internet.defer import Deferred, gatherResults

from tests.services.streams import within
from tests.tools.cases import Failures, Listener, ToolCase, call, failure
from tests.tools.web import FAULTS, STALLS, Asked, Reply, Web
from xiaozhi.errors import Unavailable
from xiaozhi.tooling import Outcome
from xiaozhi.tools._skies import sky
from xiaozhi.tools.weather import LIFETIME, USABLE, Kit, Settings

TODAY = date(2026, 11, 24)
"""A Tuesday."""
PLACES = {
    "berlin": [("Berlin", "Germany", "DE", "Berlin", 52.52437, 13.41053)],
    "北京": [("北京", "中国", "CN", "北京市", 39.9075, 116.39723)],
    "paris": [
        ("Paris", "France", "FR", "Île-de-France", 48.85341, 2.3488),
        ("Paris", "United States", "US", "Texas", 33.66094, -95.55551),
    ],
}


def open_meteo(asked: Asked) -> Reply:
    """Answer as Open-Meteo does."""
    args = asked.args
    if asked.path == "/v1/search":
        found = PLACES.get(args["name"].casefold(), [])[: int(args["count"])]
        results = [
            {
                "id": index,
                "name": name,
                "latitude": latitude,
                "longitude": longitude,
                "elevation": 74.0,
                "feature_code": "PPLC",
                "country_code": code,
                "country": country,
                "admin1": admin1,
                "timezone": "Europe/Berlin",
                "population": 3426354,
            }
            for index, (name, country, code, admin1, latitude, longitude) in enumerate(found)
        ]
        # Where nothing is found there is no key `results`.
        return Reply({"generationtime_ms": 0.6} | ({"results": results} if results else {}))
    assert asked.path == "/v1/forecast"
    assert args["timezone"] == "auto"
    days = int(args["forecast_days"])
    fahrenheit = args.get("temperature_unit") == "fahrenheit"
    current = {"time": "2026-11-24T14:15", "interval": 900}
    values = {
        "temperature_2m": 53.6 if fahrenheit else 12.0,
        "apparent_temperature": 46.4 if fahrenheit else 8.0,
        "relative_humidity_2m": 71,
        "weather_code": 2,
        "wind_speed_10m": 14.4,
    }
    daily: dict[str, list[Any]] = {
        "weather_code": [61, 3, 71, 0, None, 95, 45],
        "temperature_2m_max": [15.2, 13.0, -0.4, -3.6, None, 9.0, 8.0],
        "temperature_2m_min": [4.6, 6.0, -4.2, -9.5, None, 1.0, 2.0],
        "precipitation_probability_max": [80, 10, 55, 0, None, 90, 3],
    }
    assert set(args["current"].split(",")) == set(values)
    assert set(args["daily"].split(",")) == set(daily)
    return Reply(
        {
            "latitude": float(args["latitude"]),
            "longitude": float(args["longitude"]),
            "utc_offset_seconds": 3600,
            "timezone": "Europe/Berlin",
            "current_units": {"temperature_2m": "°F" if fahrenheit else "°C"},
            "current": current | values,
            "daily": {
                "time": [(TODAY + timedelta(n)).isoformat() for n in range(days)],
                **{name: column[:days] for name, column in daily.items()},
            },
        }
    )


class WeatherTests(Failures, ToolCase):
    def setUp(self) -> None:
        super().setUp()
        self.at = datetime(2026, 11, 24, 14, 20, tzinfo=ZoneInfo("Europe/Berlin"))
        self.room = attrs.evolve(self.room, now=lambda: self.at)

    def made(self, timeout_s: float = 5.0, **settings: Any) -> tuple[Kit, Web]:
        web = self.web(open_meteo)
        chosen = Settings(url=web.url, places_url=web.url + "/", timeout_s=timeout_s, **settings)
        return self.started(Kit(chosen, self.room)), web

    async def ask(self, kit: Kit) -> Outcome:
        return await call(kit, "get_weather", self.en, place="Berlin")

    async def test_said(self) -> None:
        """The sentences are short and natural, in Chinese and English."""
        kit, _ = self.made(city="Berlin")
        for listener, place, day, sentence in (
            (
                self.en,
                None,
                None,
                "Now in Berlin: partly cloudy, 12 degrees, feeling like 8 degrees. "
                "Today 5 to 15 degrees, 80 percent chance of rain.",
            ),
            (self.zh, "北京市", "", "北京现在多云，12度，体感8度。今天5到15度，降水概率80%。"),
            (self.en, None, "tomorrow", "Tomorrow in Berlin: overcast, 6 to 13 degrees."),
            (self.zh, "北京", "明天", "北京明天阴，6到13度。"),
            (self.zh, "北京", "后天", "北京后天小雪，零下4到0度，降水概率55%。"),
            (self.zh, "北京", "星期五", "北京周五晴，零下10到零下4度。"),
            (self.en, None, "Friday", "Friday in Berlin: clear, -10 to -4 degrees."),
            (
                self.en,
                None,
                "2026-11-29",
                "Sunday in Berlin: thunderstorms, 1 to 9 degrees, 90 percent chance of rain.",
            ),
            (
                Listener(language="vi"),
                None,
                "tomorrow",
                "Tomorrow in Berlin: overcast, 6 to 13 degrees.",
            ),
        ):
            outcome = await call(kit, "get_weather", listener, place=place, day=day)
            self.assertEqual(outcome.say, sentence)
            self.assertFalse(outcome.final)

    async def test_week(self) -> None:
        """The week is told a day at a time; a day without numbers is told without."""
        kit, _ = self.made()
        outcome = await call(kit, "get_weather", self.zh, place="北京", day="一周")
        self.assertEqual(
            outcome.say,
            "北京未来一周：今天小雨，5到15度；明天阴，6到13度；后天小雪，零下4到0度；"
            "周五晴，零下10到零下4度；周六；周日有雷阵雨，1到9度；周一有雾，2到8度。",
        )

    async def test_text(self) -> None:
        """The model is given all there is, in any case."""
        kit, _ = self.made()
        lines = (await call(kit, "get_weather", self.zh, place="Berlin")).text.splitlines()
        self.assertEqual(
            lines[:2],
            [
                "Berlin, now: partly cloudy, 12°C, feels like 8°C, humidity 71%, wind 14.4 km/h",
                "Tuesday 2026-11-24: light rain, 4.6 to 15.2°C, chance of rain 80%",
            ],
        )
        self.assertEqual(len(lines), 8)

    async def test_imperial(self) -> None:
        """Degrees Fahrenheit are asked for, not reckoned."""
        kit, web = self.made(units="imperial")
        outcome = await self.ask(kit)
        self.assertIn("54 degrees", outcome.say)
        self.assertIn("53.6°F", outcome.text)
        self.assertEqual(web.asked[-1].args["wind_speed_unit"], "mph")

    async def test_which_place(self) -> None:
        """A country or state after the name decides between places of one name."""
        kit, web = self.made()
        for place, latitude in (("Paris", "48.8534"), ("Paris, Texas", "33.6609")):
            await call(kit, "get_weather", self.en, place=place)
            self.assertEqual(web.asked[-1].args["latitude"], latitude)

    async def test_no_such_place(self) -> None:
        """A place nobody knows is said to be unknown; no place at all is asked for."""
        kit, _ = self.made()
        outcome = await call(kit, "get_weather", self.zh, place="亚特兰蒂斯")
        self.assertEqual((outcome.failed, outcome.say), (True, "我没有找到亚特兰蒂斯。"))
        self.assertIn("Where", (await call(kit, "get_weather", self.en)).say)

    async def test_no_such_day(self) -> None:
        """Days beyond the forecast, or gone, are not made up."""
        kit, _ = self.made(city="Berlin")
        for day in ("2026-12-24", "2026-11-23"):
            self.assertTrue((await call(kit, "get_weather", self.en, day=day)).failed)
        self.assertIn("no day", (await failure(kit, "get_weather", self.en, day="Pancake")).why)

    async def test_arguments(self) -> None:
        """Arguments of a wrong type are a ServiceError."""
        kit, _ = self.made()
        for wrong in ({"place": ["Berlin"]}, {"place": "Berlin", "day": {"x": 1}}, {"place": True}):
            await failure(kit, "get_weather", self.en, **wrong)

    async def test_kept(self) -> None:
        """A forecast is asked for once in ten minutes, by all who want it at a time."""
        kit, web = self.made()
        await gatherResults([Deferred.fromCoroutine(self.ask(kit)) for _ in range(5)])
        self.assertEqual(len(web.asked), 2)
        self.clock.advance(LIFETIME - 1)
        await self.ask(kit)
        self.assertEqual(len(web.asked), 2)
        self.clock.advance(1)
        await self.ask(kit)
        self.assertEqual([asked.path for asked in web.asked[2:]], ["/v1/forecast"])

    async def test_stale(self) -> None:
        """While the source is down an older forecast is told, and said to be old; not for ever."""
        kit, web = self.made()
        await self.ask(kit)
        web.fault = FAULTS["broken"]
        self.clock.advance(3600)
        outcome = await self.ask(kit)
        self.assertIn("60 minutes ago", outcome.say)
        self.assertIn("60 minutes old", outcome.text)
        self.clock.advance(USABLE)
        self.assertIn("500", (await failure(kit, "get_weather", self.en, place="Berlin")).why)

    async def test_left_alone(self) -> None:
        """A server that says when to come again is not asked before."""
        kit, web = self.made()
        web.fault = FAULTS["busy"]
        for _ in range(3):
            error = await failure(kit, "get_weather", self.en, place="Berlin")
            self.assertEqual(error.rest, 30)
        self.assertEqual(len(web.asked), 1)

    async def test_giving_up(self) -> None:
        """Who gives up leaves the question to the others."""
        kit, web = self.made()
        waiting = [Deferred.fromCoroutine(self.ask(kit)) for _ in range(2)]
        waiting[0].addErrback(lambda failure: None)
        waiting[0].cancel()
        self.assertTrue((await waiting[1]).text)
        self.assertEqual(len(web.asked), 2)

    def test_wrong_address(self) -> None:
        """An address that is none is refused at the start."""
        with self.assertRaises(Unavailable):
            Kit(Settings(url="api.open-meteo.com"), self.room)

    async def test_midnight(self) -> None:
        """Today is what it is at the place by now, and not when the forecast was made."""
        kit, web = self.made()
        for at, day, sentence in (
            ((24, 23, 59), "", "Today 5 to 15 degrees, 80 percent"),
            ((25, 0, 1), "", "Today 6 to 13 degrees."),
            ((25, 0, 1), "tomorrow", "Tomorrow in Berlin: light snow, -4 to 0 degrees, 55 percent"),
            ((25, 0, 1), "2026-11-24", "only know the weather of the coming week"),
        ):
            self.at = datetime(2026, 11, *at, tzinfo=ZoneInfo("Europe/Berlin"))
            told = await call(kit, "get_weather", self.en, place="Berlin", day=day)
            self.assertIn(sentence, told.say)
        self.assertEqual(len(web.asked), 2)

    async def test_replaced(self) -> None:
        """Who asks while the settings change is told to try again, and not left without answer."""
        kit, web = self.made()
        web.fault = STALLS
        asking = Deferred.fromCoroutine(failure(kit, "get_weather", self.en, place="Berlin"))
        await within(web.came)
        await kit.stopService()
        self.assertIn("try again", (await within(asking)).why)


class SkyTests(ToolCase):
    def test_codes(self) -> None:
        """All codes Open-Meteo lists have words in both languages; others have none."""
        listed = (0, 1, 2, 3, 45, 48, 51, 53, 55, 56, 57, 61, 63, 65, 66, 67, 71, 73, 75, 77)
        for code in (*listed, 80, 81, 82, 85, 86, 95, 96, 99):
            self.assertTrue(sky(code, "zh"))
            self.assertTrue(sky(code, "en"))
        self.assertEqual((sky(42, "en"), sky(None, "zh")), ("", ""))
