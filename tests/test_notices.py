"""What is said when something is due."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi import notices
from xiaozhi.services.store.records import Reminder

ZONE = "Asia/Shanghai"
SEVEN = datetime(2026, 11, 24, 7, tzinfo=ZoneInfo(ZONE)).timestamp()
KINDS: Any = ("timer", "alarm", "reminder")


class Notices(SynchronousTestCase):
    maxDiff = None

    def each(self, label: str = "tea", **facts: Any) -> list[Reminder]:
        """Make one of each kind, due at seven, set ten minutes before."""
        usual: dict[str, Any] = {"id": "r", "device_id": "d", "due": SEVEN, "zone": ZONE}
        usual |= {"made_at": SEVEN - 600, "label": label}
        return [Reminder(kind=kind, **(usual | facts)) for kind in KINDS]

    def said(self, later: float, language: str, label: str = "tea") -> list[str]:
        return [notices.notice([one], SEVEN + later, language) for one in self.each(label)]

    def test_now(self) -> None:
        """What is due now is said as it is."""
        english, chinese = self.said(1, "en"), self.said(1, "zh", "喝茶")
        self.assertEqual(english[0], "Time is up: your tea timer of 10 minutes is over.")
        self.assertEqual(
            english[1:], ["It is 7:00 AM, and this is your alarm: tea.", "A reminder: tea."]
        )
        self.assertEqual(chinese[0], "时间到了，喝茶的10分钟计时结束了。")
        self.assertEqual(chinese[1:], ["现在是早上7点，闹钟响了：喝茶。", "提醒你：喝茶。"])

    def test_late(self) -> None:
        """What was due while nobody was there is said with when it was."""
        self.assertEqual(
            self.said(86400, "en", "tea"),
            [
                "Your tea timer of 10 minutes was over yesterday at 7:00 AM.",
                "You missed your alarm yesterday at 7:00 AM: tea.",
                "A reminder, due yesterday at 7:00 AM: tea.",
            ],
        )
        self.assertEqual(
            self.said(3600, "zh", "喝茶"),
            [
                "喝茶的10分钟计时在今天早上7点结束了。",
                "你错过了今天早上7点的闹钟：喝茶。",
                "今天早上7点的提醒：喝茶。",
            ],
        )

    def test_many(self) -> None:
        """Of many the first are said, and how many more there are."""
        many = self.each() * 3
        self.assertTrue(notices.notice(many, SEVEN, "en").endswith("And there are 4 more."))
        self.assertTrue(notices.notice(many, SEVEN, "zh").endswith("。还有4个提醒。"))

    def test_titles(self) -> None:
        """The screen shows what it is."""
        titles = [(notices.title(one, "zh"), notices.title(one, "en")) for one in self.each()]
        self.assertEqual(titles, [("计时结束", "Timer"), ("闹钟", "Alarm"), ("提醒", "Reminder")])

    def test_listed(self) -> None:
        """In a list each is told with when it comes."""

        def told(language: str, label: str, **facts: Any) -> list[str]:
            each = self.each(label, **facts)
            return [notices.listed(one, SEVEN - 90, language) for one in each]

        self.assertEqual(
            told("en", "tea"),
            [
                "the tea timer, with 1 minute 30 seconds left",
                "the alarm today at 7:00 AM: tea",
                "today at 7:00 AM: tea",
            ],
        )
        self.assertEqual(
            told("zh", ""), ["10分钟计时，还剩1分钟30秒", "今天早上7点的闹钟", "今天早上7点提醒你"]
        )
        self.assertEqual(
            told("en", "")[0], "the timer of 10 minutes, with 1 minute 30 seconds left"
        )
        (timer, *_) = self.each("")
        self.assertEqual(
            notices.listed(timer, SEVEN, "en"), "the timer of 10 minutes, which is over"
        )
        self.assertEqual(notices.listed(timer, SEVEN, "zh"), "10分钟计时，已经结束")
        self.assertEqual(told("en", "", repeat="weekdays")[1], "the alarm on weekdays at 7:00 AM")
        self.assertEqual(told("zh", "吃药", repeat="monday")[2], "每周一早上7点提醒你吃药")
