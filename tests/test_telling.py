"""How times, spans and figures are told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi import telling


class Telling(SynchronousTestCase):
    def test_time_of_day(self) -> None:
        """Times of day, with the part of the day in Chinese."""
        told = {
            (0, 5): ("凌晨0点5分", "12:05 AM"), (7, 0): ("早上7点", "7:00 AM"),
            (9, 30): ("上午9点30分", "9:30 AM"), (12, 0): ("中午12点", "12:00 PM"),
            (15, 25): ("下午3点25分", "3:25 PM"), (23, 59): ("晚上11点59分", "11:59 PM"),
        }  # fmt: skip
        for (hour, minute), expected in told.items():
            moment = datetime(2026, 11, 24, hour, minute)
            found = tuple(telling.time_of_day(moment, language) for language in ("zh", "en"))
            self.assertEqual(found, expected)

    def test_when(self) -> None:
        """A moment, by the day that the listener has."""
        now = datetime(2026, 11, 24, 10)
        told = {
            23: ("昨天早上7点", "yesterday at 7:00 AM"), 24: ("今天早上7点", "today at 7:00 AM"),
            25: ("明天早上7点", "tomorrow at 7:00 AM"),
            26: ("后天早上7点", "on Thursday, November 26 at 7:00 AM"),
            28: ("11月28日早上7点", "on Saturday, November 28 at 7:00 AM"),
        }  # fmt: skip
        for day, expected in told.items():
            moment = datetime(2026, 11, day, 7)
            found = tuple(telling.when(moment, now, language) for language in ("zh", "en"))
            self.assertEqual(found, expected)

    def test_span(self) -> None:
        """Spans, in two units at most."""
        told = {
            0.4: "1 second", 90: "1 minute 30 seconds", 3600: "1 hour", 90061: "1 day 1 hour",
            172800: "2 days",
        }  # fmt: skip
        self.assertEqual({seconds: telling.span(seconds, "en") for seconds in told}, told)
        self.assertEqual(telling.span(5400, "zh"), "1小时30分钟")

    def test_figure(self) -> None:
        """Figures, without needless zeros."""
        told = {
            "84": "84", "84.50": "84.5", "1E+2": "100", "-0.30": "-0.3", "1E+30": "1e+30",
            "123456789012345678": "123456789012345678", "0": "0", "2E-25": "2e-25",
        }  # fmt: skip
        self.assertEqual({text: telling.figure(Decimal(text)) for text in told}, told)
