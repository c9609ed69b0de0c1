"""When something is to happen, across days and across changes of the clocks."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.occurrence import REPEATS, Impossible, at, coming, day_named, following, time_named

TUESDAY = date(2026, 11, 24)
BERLIN = ZoneInfo("Europe/Berlin")


class Days(SynchronousTestCase):
    def test_named(self) -> None:
        """Days are found by what they are called."""
        days = {
            "": "2026-11-24", "Today": "2026-11-24", "tomorrow": "2026-11-25", "+3": "2026-11-27",
            "tuesday": "2026-11-24", "monday": "2026-11-30", "next monday": "2026-11-30",
            "next friday": "2026-12-04", "11-24": "2026-11-24", "11-23": "2027-11-23",
            "02-29": "2028-02-29", "2027-01-05": "2027-01-05",
        }  # fmt: skip
        self.assertEqual({name: str(day_named(name, TUESDAY)) for name in days}, days)

    def test_no_days(self) -> None:
        """What is no day is said to be none."""
        for name in (
            "0001-01-01",
            "9999-12-31",
            "someday",
            "02-30",
            "2026-13-01",
            "next",
            "+",
            "13-01",
        ):
            with self.assertRaises(Impossible):
                day_named(name, TUESDAY)

    def test_times(self) -> None:
        """Times are told in 24 hours."""
        times = {"7:05": 425, "07:30": 450, "23:59": 1439, "24:00": 1440, "07:00:00": 420}
        self.assertEqual({name: time_named(name) for name in times}, times)
        for name in ("25:00", "7", "24:01", "7 pm", ""):
            with self.assertRaises(Impossible):
                time_named(name)


class Moments(SynchronousTestCase):
    def coming(self, day: str, minutes: int, either: bool, hour: int = 10) -> str:
        now = datetime(2026, 11, 24, hour, tzinfo=BERLIN)
        return f"{coming(now, day, minutes, either, BERLIN):%d %H:%M}"

    def test_no_day(self) -> None:
        """Without a day, it is whichever comes first."""
        self.assertEqual(self.coming("", 7 * 60, False), "25 07:00")
        self.assertEqual(self.coming("", 7 * 60, True), "24 19:00")
        self.assertEqual(self.coming("", 11 * 60, True), "24 11:00")
        self.assertEqual(self.coming("", 1440, False), "25 00:00")
        self.assertEqual(self.coming("", 720, True, hour=13), "25 00:00")

    def test_named_day(self) -> None:
        """On a day that is named, it is when people are up."""
        self.assertEqual(self.coming("tomorrow", 3 * 60, True), "25 15:00")
        self.assertEqual(self.coming("tomorrow", 9 * 60, True), "25 09:00")
        self.assertEqual(self.coming("today", 9 * 60, True), "24 21:00")
        self.assertEqual(self.coming("tuesday", 9 * 60, False), "01 09:00")

    def test_over(self) -> None:
        """What is over cannot be waited for."""
        with self.assertRaises(Impossible):
            self.coming("today", 9 * 60, False)

    def test_clocks_go_forward(self) -> None:
        """A time that is left out comes as much later."""
        moment = at(date(2026, 3, 29), 150, BERLIN)
        self.assertEqual(moment.isoformat(), "2026-03-29T03:30:00+02:00")

    def test_clocks_go_back(self) -> None:
        """Of two times that are called the same, the first counts, once."""
        first = at(date(2026, 10, 25), 150, BERLIN)
        self.assertEqual(first.isoformat(), "2026-10-25T02:30:00+02:00")
        then = following(first, 150, "daily", BERLIN)
        self.assertEqual(then.isoformat(), "2026-10-26T02:30:00+01:00")

    def test_same_time_each_day(self) -> None:
        """Seven is seven before and after clocks are set: 23 or 25 hours later."""
        for day, hours in ((date(2026, 3, 28), 23), (date(2026, 10, 24), 25)):
            before = at(day, 420, BERLIN)
            then = following(before, 420, "daily", BERLIN)
            self.assertEqual(then.hour, 7)
            self.assertEqual(then.timestamp() - before.timestamp(), 3600 * hours)

    def test_repeats(self) -> None:
        """What comes on some days of the week skips the others."""
        friday = datetime(2026, 11, 27, 8, tzinfo=BERLIN)
        days = {"daily": 28, "weekdays": 30, "weekends": 28, "thursday": 3}
        found = {repeat: following(friday, 420, repeat, BERLIN).day for repeat in days}
        self.assertEqual(found, days)
        self.assertEqual(
            following(friday, 1440, "friday", BERLIN).isoformat()[:16], "2026-11-28T00:00"
        )

    def test_left_out(self) -> None:
        """From within an hour that is left out, the next time is later all the same."""
        after = datetime(2000, 3, 26, 2, 30, tzinfo=BERLIN)
        then = following(after, 210, "daily", BERLIN)
        self.assertGreater(then.timestamp(), after.timestamp())

    @given(
        st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(BERLIN)),
        st.integers(0, 1440),
        st.sampled_from(sorted(REPEATS)),
    )
    def test_always(self, after: datetime, minutes: int, repeat: str) -> None:
        """The next time is later, on one of the days, and eight days away at most."""
        then = following(after, minutes, repeat, BERLIN)
        self.assertGreater(then.timestamp(), after.timestamp())
        self.assertLess(then.timestamp() - after.timestamp(), 8.1 * 86400)
