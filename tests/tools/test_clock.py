"""The time and the date, here and elsewhere."""

from __future__ import annotations

from datetime import date, timedelta, timezone

import msgspec
import tzlocal
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.tools.stage import NOW, Stage, call, room
from xiaozhi.errors import Unavailable
from xiaozhi.tools import _places, clock


class Clocks(SynchronousTestCase):
    def setUp(self) -> None:
        self.kit = clock.Kit(clock.Settings(timezone="Asia/Shanghai"), room())

    def said(self, name: str, language: str = "en", **arguments: object) -> tuple[str, str]:
        coroutine = call(self.kit, name, Stage(language), **arguments)
        outcome = self.successResultOf(Deferred.fromCoroutine(coroutine))
        self.assertFalse(outcome.failed)
        return outcome.text, outcome.say

    def test_time(self) -> None:
        """The time here, for the model and for the user."""
        text, say = self.said("get_time")
        self.assertEqual(text, "2026-11-24 10:00, Tuesday, Asia/Shanghai (UTC+0800)")
        self.assertEqual(say, "It is 10:00 AM.")
        self.assertEqual(self.said("get_time", "zh")[1], "现在是上午10点。")

    def test_elsewhere(self) -> None:
        """The time in another place, by its name in either language, or by its zone."""
        for place in ("Paris", "巴黎", "Europe/Paris", "PARIS"):
            self.assertIn("2026-11-24 03:00", self.said("get_time", place=place)[0])
        self.assertEqual(
            self.said("get_time", place="New York")[1], "It is 9:00 PM on Monday in New York."
        )
        self.assertEqual(self.said("get_time", "zh", place="纽约")[1], "纽约现在是星期一晚上9点。")

    def test_nowhere(self) -> None:
        """A place nobody knows is told so to the model."""
        for name in ("get_time", "get_date"):
            for place in ("Atlantis", "../etc/passwd", "Asia", "a\0b"):
                outcome = self.successResultOf(
                    Deferred.fromCoroutine(call(self.kit, name, place=place))
                )
                self.assertTrue(outcome.failed)
                self.assertIn("zone", outcome.text)

    def test_date(self) -> None:
        """Dates, with their weekdays."""
        self.assertEqual(
            self.said("get_date"), ("2026-11-24, Tuesday", "Today is Tuesday, November 24, 2026.")
        )
        self.assertEqual(
            self.said("get_date", "zh", day="tomorrow")[1], "明天是2026年11月25日，星期三。"
        )
        self.assertEqual(
            self.said("get_date", day="2026-11-01")[1], "It was Sunday, November 1, 2026."
        )

    def test_no_date(self) -> None:
        """What is no day is told so to the model."""
        outcome = self.successResultOf(
            Deferred.fromCoroutine(call(self.kit, "get_date", day="someday"))
        )
        self.assertTrue(outcome.failed)

    def test_lunar_date(self) -> None:
        """The date in the Chinese calendar, with feasts and solar terms."""
        text, say = self.said("get_date", "zh", day="2026-02-17", lunar=True)
        self.assertIn("丙午马年正月初一，春节 (the 1st day of the 1st lunar month", text)
        self.assertEqual(say, "那天是农历丙午马年正月初一，春节。")
        self.assertEqual(
            self.said("get_date", day="2026-09-25", lunar=True)[1],
            "It was the 15th day of the 8th lunar month, year of the Horse, "
            "the Mid-Autumn Festival.",
        )

    def test_leap_month(self) -> None:
        """A leap month is called one."""
        self.assertEqual(
            clock.lunar(date(2025, 7, 25)),
            ("乙巳蛇年闰六月初一", "the 1st day of the 6th leap lunar month, year of the Snake"),
        )

    def zone(self, name: str, hours: float, system: str | None) -> str:
        """Find the zone where the system's clock is so many hours from UTC."""
        self.patch(tzlocal, "get_localzone_name", lambda: system)
        now = NOW.astimezone(timezone(timedelta(hours=hours)))
        return str(_places.own_zone(name, now))

    def test_own_zone(self) -> None:
        """The zone is the one that is named, or the system's, however that is told."""
        self.assertEqual(self.zone("Asia/Tokyo", 8, "Europe/Paris"), "Asia/Tokyo")
        self.assertEqual(self.zone("", 8, "Asia/Shanghai"), "Asia/Shanghai")
        self.assertEqual(self.zone("", 8, "Etc/UTC"), "Etc/GMT-8")  # TZ=CST-8
        self.assertEqual(self.zone("", -3, None), "Etc/GMT+3")
        for hours, system in ((5.5, None), (8, "no/zone"), (8, "\0")):
            with self.assertRaises(Unavailable):
                self.zone("", hours, system)

    def test_settings(self) -> None:
        """A zone that is named must be one."""
        _places.check_zone("")
        _places.check_zone("Asia/Tokyo")
        self.assertRaises(ValueError, _places.check_zone, "Mars/Olympus")
        with self.assertRaises(msgspec.ValidationError):
            msgspec.convert({"timezone": 7}, clock.Settings)

    def test_places(self) -> None:
        """Every zone on the list of cities is one."""
        zones = set(_places._ZONES.values())
        self.assertEqual({name for name in zones if _places.zone_of(name) is None}, set())
