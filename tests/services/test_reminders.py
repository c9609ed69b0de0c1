"""Who is told what, and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.calendar import FakeCalendar
from xiaozhi.errors import ServiceError
from xiaozhi.identity import Identity
from xiaozhi.services.reminders import LEASE, MOST, PAUSE, RETRY, SETTLING, Notice, Reminders
from xiaozhi.services.store.records import Reminder

DEVICE = "aa:bb:cc:00:11:22"
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 24, 12, tzinfo=BERLIN).timestamp()


class Phone:
    """A connection by which a user can be told something."""

    def __init__(self, device: str = DEVICE) -> None:
        self.identity = Identity(device, "", "header")
        self.notices: list[Notice] = []

    def ring(self, notice: Notice) -> None:
        self.notices.append(notice)

    def hear(self, spoken: bool = True) -> str:
        """Hear the one notice there is; give its text."""
        (notice,) = self.notices
        self.notices = []
        notice.told(spoken)
        return notice.text


def reminder(kind: Any = "timer", due: float = NOON + 600, **facts: Any) -> Reminder:
    usual: dict[str, Any] = {"id": "r", "device_id": DEVICE, "made_at": NOON}
    facts = usual | {"zone": "Europe/Berlin"} | facts
    return Reminder(kind=kind, due=due, **facts)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.set_by = NOON
        """The wall clock's time when the other was at zero."""
        self.store = FakeCalendar()
        self.service = self.start()
        self.phone = Phone()
        self.service.arrive(self.phone)

    def start(self) -> Reminders:
        """Start a server on the store."""
        service = Reminders(self.store, self.clock, self.wall)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def wall(self) -> float:
        return self.set_by + self.clock.seconds()

    def add(self, one: Reminder) -> None:
        known = self.phone.identity.known
        self.successResultOf(Deferred.fromCoroutine(self.service.add(one, known)))

    def wait(self, seconds: float) -> None:
        """Let time pass in steps that no timer is lost in."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(1.0, end - self.clock.seconds()))


class Ringing(Case):
    def test_timer(self) -> None:
        """A timer is told when it is due, not before, and is gone from the store then."""
        self.add(reminder(label="tea"))
        self.wait(599)
        self.assertEqual(self.phone.notices, [])
        self.wait(1)
        self.assertEqual(
            (self.phone.notices[0].title, self.phone.notices[0].again), ("Timer", False)
        )
        self.assertEqual(self.phone.hear(), "Time is up: your tea timer of 10 minutes is over.")
        self.assertIn("r", self.store.kept)  # it may ring again
        self.wait(PAUSE)
        self.phone.hear(spoken=False)
        self.assertEqual(self.store.kept, {})
        self.wait(10 * PAUSE)
        self.assertEqual((self.phone.notices, self.clock.getDelayedCalls()), ([], []))

    def test_rings_three_times(self) -> None:
        """It rings three times, a minute apart, as long as nobody says anything."""
        self.add(reminder(due=NOON + 5))
        self.wait(5)
        for again in (False, True, True):
            self.assertEqual(self.phone.notices[0].again, again)
            self.phone.hear()
            self.wait(PAUSE - 1)
            self.assertEqual(self.phone.notices, [])
            self.wait(1)
        self.assertEqual((self.phone.notices, self.store.kept), ([], {}))

    def test_answered(self) -> None:
        """What has rung is gone when it is answered, even if the device goes and comes again."""
        self.add(reminder(due=NOON + 5))
        self.add(reminder("alarm", NOON + 5, id="a", minutes=12 * 60, repeat="daily"))
        self.add(reminder(due=NOON + 600, id="later"))
        self.wait(5)
        (notice,) = self.phone.notices
        self.phone.hear()
        self.assertEqual(set(self.store.kept), {"r", "a", "later"})
        notice.answered()
        self.assertEqual(set(self.store.kept), {"a", "later"})
        self.assertEqual(self.store.kept["a"].due, NOON + 86400)
        notice.told(True)  # as it was being told again
        self.service.leave(self.phone)
        self.service.arrive(self.phone)
        self.wait(PAUSE)
        self.assertEqual(self.phone.notices, [])
        self.assertEqual(self.store.kept["a"].due, NOON + 86400)

    def test_reminder_once(self) -> None:
        """A reminder is told once."""
        self.add(reminder("reminder", NOON + 5, label="call mom"))
        self.wait(5)
        self.assertEqual(self.phone.hear(), "A reminder: call mom.")
        self.assertEqual(self.store.kept, {})

    def test_one_at_a_time(self) -> None:
        """What becomes due while something is being told is told after it; old news last."""
        self.add(reminder(due=NOON + 5, id="tea", label="tea"))
        self.add(reminder("reminder", NOON + 6, id="mom", label="call mom"))
        self.wait(30)
        self.assertIn("tea", self.phone.hear())
        self.wait(1)
        self.assertIn("mom", self.phone.hear())
        self.wait(PAUSE)
        self.assertIn("tea", self.phone.hear())

    def test_together(self) -> None:
        """What is due at once is told at once, and of many only some."""
        for number in range(7):
            self.add(reminder("reminder", NOON + 5, id=str(number), label=f"item {number}"))
        self.wait(5)
        text = self.phone.hear()
        self.assertIn("A reminder: item 4.", text)
        self.assertTrue(text.endswith("And there are 2 more."), text)
        self.assertEqual(self.store.kept, {})

    def test_cancelled_while_told(self) -> None:
        """What is cancelled while it is told does not come again."""
        self.add(reminder(due=NOON + 5, repeat="daily", minutes=720))
        self.wait(5)
        cancelling = self.service.cancel(DEVICE, True, ["r"])
        self.successResultOf(Deferred.fromCoroutine(cancelling))
        self.phone.hear()
        self.wait(PAUSE * 2)
        self.assertEqual((self.phone.notices, self.store.kept), ([], {}))

    def test_clock_is_set(self) -> None:
        """A clock that is set forward is noticed within a minute; one set back is waited for."""
        self.add(reminder(due=NOON + 7200))
        self.set_by += 7200
        self.wait(PAUSE)
        self.phone.hear(spoken=False)
        self.add(reminder(due=self.wall() + 30))
        self.set_by -= 100
        self.wait(120)
        self.assertEqual(self.phone.notices, [])
        self.wait(11)
        self.phone.hear()

    def test_our_fault(self) -> None:
        """A fault of ours is seen."""
        self.phone.ring = None  # type: ignore[assignment, method-assign]
        self.add(reminder(due=NOON + 5))
        self.wait(5)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class Repeating(Case):
    def test_daily(self) -> None:
        """What comes every day comes at the same local time, also when the clocks change."""
        eve = datetime(2026, 10, 24, 7, tzinfo=BERLIN)
        self.set_by = eve.timestamp() - 60
        alarm = reminder("alarm", eve.timestamp(), minutes=420, repeat="daily", made_at=self.wall())
        self.add(alarm)
        self.wait(60)
        self.assertEqual(self.phone.hear(spoken=False), "It is 7:00 AM, and this is your alarm.")
        self.assertEqual(self.store.kept["r"].due, eve.timestamp() + 25 * 3600)
        self.set_by += 25 * 3600
        self.wait(PAUSE)
        self.assertEqual(self.phone.hear(spoken=False), "It is 7:00 AM, and this is your alarm.")

    def test_missed_for_days(self) -> None:
        """One that was missed for days is told once, and comes at its next time."""
        self.store.kept["r"] = reminder(
            "alarm", NOON - 3 * 86400, minutes=720, repeat="daily", made_at=NOON - 9e5
        )
        self.service.arrive(self.phone)
        self.wait(SETTLING)
        self.assertEqual(
            self.phone.hear(),
            "You missed your alarm on Saturday, November 21 at 12:00 PM.",
        )
        self.assertEqual(self.store.kept["r"].due, NOON + 86400)


class Away(Case):
    def test_told_at_the_next_hello(self) -> None:
        """What was due while the device was away is told a moment after it has come, once."""
        self.add(reminder())
        self.service.leave(self.phone)
        self.wait(3000)
        self.assertEqual((self.phone.notices, self.clock.getDelayedCalls()), ([], []))
        self.service.arrive(self.phone)
        self.wait(SETTLING - 0.5)
        self.assertEqual(self.phone.notices, [])
        self.wait(0.5)
        self.assertEqual(self.phone.hear(), "Your timer of 10 minutes was over today at 12:10 PM.")
        self.assertEqual(self.store.kept, {})

    def test_after_a_restart(self) -> None:
        """Another run of the server tells what was set before."""
        self.add(reminder())
        self.service.stopService()
        self.service, self.phone = self.start(), Phone()
        self.service.arrive(self.phone)
        self.wait(600)
        self.phone.hear()

    def test_leaves_while_told(self) -> None:
        """Who leaves before it was told is told when it comes again, by any server."""
        self.add(reminder(due=NOON + 5))
        self.wait(5)
        self.service.leave(self.phone)
        self.service.leave(self.phone)
        other, again = self.start(), Phone()
        other.arrive(again)
        self.wait(SETTLING)
        again.hear()

    def test_newer_connection(self) -> None:
        """A newer connection takes over; the older one leaves without harm."""
        self.add(reminder(due=NOON + 5))
        newer = Phone()
        self.service.arrive(newer)
        self.service.leave(self.phone)
        self.wait(5)
        newer.hear()
        self.assertEqual(self.phone.notices, [])

    def test_two_servers(self) -> None:
        """Of two servers to which the device seems to be connected only one tells."""
        other, second = self.start(), Phone()
        self.add(reminder(due=NOON + 5))
        other.arrive(second)
        self.wait(LEASE / 2)
        self.assertEqual(len(self.phone.notices) + len(second.notices), 1)

    def test_after_a_kill(self) -> None:
        """What a server was killed over is told by the next, once its hold has run out; once."""
        self.add(reminder(due=NOON + 5))
        self.wait(5)
        self.assertEqual(len(self.phone.notices), 1)  # and there it died
        self.service._desks.clear()
        after, again = self.start(), Phone()
        after.arrive(again)
        self.wait(LEASE - PAUSE)
        self.assertEqual(again.notices, [])
        self.wait(2 * PAUSE)
        again.hear()
        self.assertEqual(self.store.kept, {})

    def test_told_elsewhere(self) -> None:
        """What another server holds is looked at until it was told there, then no more."""
        other, second = self.start(), Phone()
        self.add(reminder("reminder", NOON + 5))
        other.arrive(second)
        self.wait(5 + SETTLING)
        self.phone.hear()
        self.wait(2 * PAUSE)
        self.assertEqual((second.notices, self.clock.getDelayedCalls()), ([], []))

    def test_left_while_claimed(self) -> None:
        """Who leaves while the store is asked is not told, and nothing is held."""
        self.add(reminder(due=NOON + 5))
        waiting: Deferred[frozenset[str]] = Deferred()
        self.patch(self.store, "claim_reminders", lambda *args: waiting)
        self.wait(5)
        self.service.leave(self.phone)
        self.store.held["r"] = NOON + LEASE
        del self.store.claim_reminders
        waiting.callback(frozenset("r"))
        self.assertEqual((self.phone.notices, self.store.held), ([], {"r": 0.0}))

    def test_expected(self) -> None:
        """It is known whether something is due soon."""
        self.add(reminder(due=NOON + 3700))
        self.assertFalse(self.service.expects(DEVICE, 3600))
        self.wait(100)
        self.assertTrue(self.service.expects(DEVICE, 3600))
        self.service.leave(self.phone)
        self.assertFalse(self.service.expects(DEVICE, 3600))


class Unknown(Case):
    """Devices whose names were made up: nothing of theirs is stored."""

    def setUp(self) -> None:
        super().setUp()
        self.service.leave(self.phone)
        self.phone = Phone("auto-12345678")
        self.service.arrive(self.phone)

    def own(self, **facts: Any) -> Reminder:
        return reminder(**{"device_id": "auto-12345678"} | facts)

    def test_in_memory(self) -> None:
        """They are told all the same, while they stay."""
        self.add(self.own(due=NOON + 5))
        self.add(self.own(due=NOON + 3, id="q"))
        self.assertEqual(self.store.kept, {})
        there = self.service.all("auto-12345678", False)
        found = self.successResultOf(Deferred.fromCoroutine(there))
        self.assertEqual([one.id for one in found], ["q", "r"])
        self.wait(5)
        self.phone.hear()
        cancelling = self.service.cancel("auto-12345678", False, ["r", "q"])
        self.successResultOf(Deferred.fromCoroutine(cancelling))
        self.wait(PAUSE)
        self.assertEqual(self.phone.notices, [])

    def test_bounded(self) -> None:
        """They have no more than others; and none when they are gone."""
        for number in range(MOST):
            self.add(self.own(id=str(number)))
        one_more = Deferred.fromCoroutine(self.service.add(self.own(id="x"), False))
        self.failureResultOf(one_more, ServiceError)
        self.service.leave(self.phone)
        self.failureResultOf(
            Deferred.fromCoroutine(self.service.add(self.own(), False)), ServiceError
        )
        there = Deferred.fromCoroutine(self.service.all("auto-12345678", False))
        self.assertEqual(self.successResultOf(there), [])


class StoreFails(Case):
    def test_reading(self) -> None:
        """What cannot be read is read a moment later; for who has gone, at the next hello."""
        self.store.kept["r"] = reminder(due=NOON - 5)
        self.store.failing = True
        self.service.arrive(self.phone)
        self.wait(2 * RETRY)
        self.assertEqual(self.phone.notices, [])
        self.store.failing = False
        self.wait(RETRY + SETTLING)
        self.phone.hear()
        self.store.failing = True
        self.service.arrive(self.phone)
        self.service.leave(self.phone)
        self.wait(PAUSE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_claiming(self) -> None:
        """What cannot be claimed is tried again."""
        self.add(reminder(due=NOON + 5))
        self.store.failing = True
        self.wait(5)
        self.store.failing = False
        self.assertEqual(self.phone.notices, [])
        self.wait(RETRY)
        self.phone.hear()

    def test_settling(self) -> None:
        """What cannot be settled is told again rather than never; so is what cannot be released."""
        self.add(reminder("reminder", due=NOON + 5, label="call mom"))
        self.add(reminder("timer", due=NOON + 9, id="t"))
        self.wait(5)
        self.store.failing = True
        self.phone.hear()
        self.assertIn("r", self.store.kept)
        self.store.failing = False
        self.wait(4)
        self.store.failing = True
        self.service.leave(self.phone)

    def test_adding(self) -> None:
        """What cannot be kept is refused, and never rings."""
        self.store.failing = True
        adding = Deferred.fromCoroutine(self.service.add(reminder(due=NOON + 5), True))
        self.failureResultOf(adding, ServiceError)
        self.wait(60)
        self.assertEqual(self.phone.notices, [])

    def test_stored_for_later(self) -> None:
        """What is set for a device that has just left is told when it comes again."""
        self.service.leave(self.phone)
        self.add(reminder())
        self.add(reminder(id="q"))
        cancelling = self.service.cancel(DEVICE, True, ["q"])
        self.successResultOf(Deferred.fromCoroutine(cancelling))
        self.assertEqual(list(self.store.kept), ["r"])
