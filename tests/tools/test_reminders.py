"""Timers, alarms and reminders by voice."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.calendar import FakeCalendar
from tests.tools.stage import NOW, SHANGHAI, Stage, call, room
from xiaozhi.commands import understand
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.reminders import MOST, Reminders
from xiaozhi.services.store.records import Reminder
from xiaozhi.tooling import Outcome
from xiaozhi.tools import reminders

LATER = " If I am asleep by then, I will tell you when you next wake me."


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = FakeCalendar()
        self.service = Reminders(self.store, Clock(), NOW.timestamp)
        self.kit = reminders.Kit(
            reminders.Settings(timezone="Asia/Shanghai"), room(reminders=self.service)
        )
        self.scene = Stage()

    def do(self, name: str, **arguments: Any) -> Outcome:
        return self.successResultOf(
            Deferred.fromCoroutine(call(self.kit, name, self.scene, **arguments))
        )

    def say(self, text: str) -> str:
        """Say something the grammar understands; give what is answered."""
        command = understand(text, "")
        assert command is not None, text
        outcome = self.do(command.tool, **command.arguments)
        self.assertFalse(outcome.failed, outcome.text)
        return outcome.say

    def kept(self) -> Reminder:
        """Take the one reminder that is kept."""
        ((_, one),) = self.store.kept.items()
        self.store.kept.clear()
        return one


class Setting(Case):
    """It is ten o'clock on a Tuesday, in Shanghai."""

    def test_timer(self) -> None:
        """A timer is kept for the device, with what it is for."""
        say = self.say("set a pasta timer for 8 minutes")
        self.assertEqual(say, "OK, your pasta timer rings in 8 minutes.")
        one = self.kept()
        self.assertEqual((one.kind, one.label), ("timer", "pasta"))
        self.assertEqual(one.device_id, self.scene.device)
        self.assertEqual((one.due - one.made_at, one.minutes), (480, -1))
        self.do("set_timer", hours=1, minutes=30.5)
        self.assertEqual(self.kept().due, NOW.timestamp() + 5430)

    def test_moments(self) -> None:
        """What is said comes to the moment that is meant."""
        moments = {
            "wake me at seven": "25 07:00", "remind me at 3 to call mom": "24 15:00",
            "set an alarm for 9 pm": "24 21:00", "明天下午三点提醒我开会": "25 15:00",
            "明天三点提醒我开会": "25 15:00", "后天八点提醒我开会": "26 08:00",
            "提醒我两小时后关火": "24 12:00", "周五早上七点叫我起床": "27 07:00",
            "remind me on monday at noon to pay rent": "30 12:00",
            "set an alarm for midnight": "25 00:00",
        }  # fmt: skip
        found = {}
        for text in moments:
            self.say(text)
            due = NOW.fromtimestamp(self.kept().due, SHANGHAI)
            found[text] = f"{due:%d %H:%M}"
        self.assertEqual(found, moments)

    def test_told(self) -> None:
        """The user is told when it will be, and what if the device sleeps by then."""
        told = {
            "wake me at seven": f"OK, your alarm rings tomorrow at 7:00 AM.{LATER}",
            "remind me in 20 minutes to turn off the stove":
                "OK, I will remind you in 20 minutes: turn off the stove.",
            "remind me at 10:30 am to call mom":
                "OK, I will remind you today at 10:30 AM: call mom.",
            "set an alarm for 7 am every day": f"OK, your alarm rings every day at 7:00 AM.{LATER}",
        }  # fmt: skip
        self.assertEqual({text: self.say(text) for text in told}, told)
        self.scene.language = "zh"
        told = {
            "二十分钟后提醒我关火": "好的，20分钟后提醒你关火。",
            "定个五分钟的闹钟": "好的，5分钟后告诉你。",
            "工作日早上七点叫我起床":
                "好的，闹钟会在工作日早上7点响。如果那时我在休息，会在你下次唤醒我时告诉你。",
        }  # fmt: skip
        self.assertEqual({text: self.say(text) for text in told}, told)
        self.assertEqual({one.language for one in self.store.kept.values()}, {"en", "zh"})

    def test_repeats(self) -> None:
        """What comes again is kept as a local time in its zone."""
        self.say("set an alarm for 6:45 every weekday")
        one = self.kept()
        self.assertEqual((one.minutes, one.repeat, one.zone), (405, "weekdays", "Asia/Shanghai"))
        self.do("set_alarm", time="08:00", day="friday", repeat="weekly")
        one = self.kept()
        self.assertEqual((one.minutes, one.repeat), (480, "friday"))

    def test_impossible(self) -> None:
        """What cannot be is told to the model, and nothing is kept."""
        for arguments in (
            {}, {"time": "25:00"}, {"time": "09:00", "day": "today"}, {"minutes": -1},
            {"minutes": "ten"}, {"time": "09:00", "day": "2031-01-01"}, {"hours": 10**8},
            {"seconds": 0}, {"time": "09:00", "day": "someday"}, {"seconds": float("nan")},
        ):  # fmt: skip
            outcome = self.do("set_reminder", what="x", **arguments)
            self.assertTrue(outcome.failed and outcome.text, arguments)
        self.assertEqual(self.store.kept, {})

    def test_any_label(self) -> None:
        """A label is cut, and has nothing in it that no database takes."""
        self.do("set_reminder", what="a\0b\ud83d" + "x" * 999, seconds=5)
        self.assertEqual(self.kept().label, "ab" + "x" * 196)

    def test_too_many(self) -> None:
        """One too many is refused in words."""
        for number in range(MOST):
            self.do("set_timer", minutes=5, label=str(number))
        outcome = self.do("set_timer", minutes=5)
        self.assertEqual((outcome.failed, len(self.store.kept)), (True, MOST))
        self.assertEqual(outcome.say, "There are too many: cancel some.")
        self.scene.language = "zh"
        self.assertIn("满了", self.do("set_timer", minutes=5).say)

    def test_said_twice(self) -> None:
        """What is set twice in one breath is set once; another thing is another."""
        for text in ("set a timer for 5 minutes", "set a timer for five minutes, please"):
            self.assertEqual(self.say(text), "OK, I will tell you in 5 minutes.")
        self.assertEqual(len(self.store.kept), 1)
        self.say("set a tea timer for five minutes")
        self.say("set a timer for six minutes")
        self.assertEqual(len(self.store.kept), 3)

    def test_store_fails(self) -> None:
        """What cannot be kept is said so."""
        self.store.failing = True
        setting = Deferred.fromCoroutine(call(self.kit, "set_timer", self.scene, minutes=5))
        self.failureResultOf(setting, ServiceError)

    def test_nobody_to_tell(self) -> None:
        """Where nobody can be told anything, there are no such tools."""
        self.assertRaises(Unavailable, reminders.Kit, reminders.Settings(), room())


class There(Case):
    def test_listed(self) -> None:
        """What is set is listed, by its kind."""
        self.assertEqual(self.say("what timers do I have"), "There are no timers.")
        self.say("set a tea timer for 5 minutes")
        self.say("wake me at seven")
        self.assertEqual(
            self.do("list_reminders").say,
            "You have the tea timer, with 5 minutes left; the alarm tomorrow at 7:00 AM.",
        )
        self.assertIn("tea", self.say("how much time is left on the timer"))
        self.scene.language = "zh"
        self.assertEqual(
            self.say("我有哪些闹钟"), "你有tea的5分钟计时，还剩5分钟；明天早上7点的闹钟。"
        )
        self.assertEqual(self.say("有什么提醒"), "现在没有提醒。")

    def test_cancelled(self) -> None:
        """The only one there is, is cancelled."""
        self.say("set a timer for 5 minutes")
        self.say("wake me at seven")
        self.assertEqual(
            self.say("cancel the timer"), "Cancelled: the timer of 5 minutes, with 5 minutes left."
        )
        self.assertEqual(self.say("cancel the timer"), "There are no timers.")
        self.scene.language = "zh"
        self.assertEqual(self.say("取消闹钟"), "已取消：明天早上7点的闹钟。")
        self.assertEqual(self.store.kept, {})

    def test_by_its_length(self) -> None:
        """A timer is found by how long it was set for, whatever is left of it."""
        for text in ("set a timer for 5 minutes", "set a timer for 10 minutes"):
            self.say(text)
        self.scene.language = "zh"
        self.assertEqual(self.say("取消五分钟的闹钟"), "已取消：5分钟计时，还剩5分钟。")
        self.assertEqual(self.say("取消五分钟的闹钟"), "没有找到你说的那个。")
        self.assertIn("10分钟计时", self.say("取消计时"))

    def test_which(self) -> None:
        """Of several it is asked which, or it is found by its label or its time."""
        for text in ("wake me at 7", "wake me at 8", "set an alarm for 9 pm"):
            self.say(text)
        self.do("set_reminder", what="Call Mom", minutes=5)
        self.assertIn("Which one?", self.say("cancel the alarm"))
        self.scene.language = "zh"
        self.assertIn("要取消哪一个？", self.say("取消闹钟"))
        self.assertEqual(len(self.store.kept), 4)
        self.do("cancel_reminder", which="8:00")
        self.assertEqual(self.do("cancel_reminder", which="egg").say, "没有找到你说的那个。")
        self.do("cancel_reminder", which="mom")
        self.assertEqual(len(self.store.kept), 2)
        self.say("取消所有闹钟")
        self.assertEqual(self.store.kept, {})
