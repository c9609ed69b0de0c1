"""What is believed of devices that come, and for how long; without a database."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.store import lately
from xiaozhi.services.store.arrivals import Arrival, Arrivals
from xiaozhi.services.store.lately import SOON, Lately
from xiaozhi.services.store.records import EXACT, DeviceRecord, Seen, Standing

GOOD, VOID = Standing(5.0), Standing(math.inf)


class LatelyTests(SynchronousTestCase):
    """The memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lately: Lately[str] = Lately(self.clock.seconds)
        self.questions: list[Deferred[str]] = []

    def ask(self) -> Deferred[str]:
        self.questions.append(Deferred())
        return self.questions[-1]

    def learnt(self, key: str, answer: str) -> None:
        asked = self.lately.learn(key, self.ask)
        self.questions.pop().callback(answer)
        self.assertEqual(self.successResultOf(asked), answer)

    def test_for_a_moment(self) -> None:
        """An answer is believed for a moment, counted from the question."""
        self.assertIsNone(self.lately.recall("a"))
        asked = self.lately.learn("a", self.ask)
        self.clock.advance(SOON - 1)
        self.questions.pop().callback("yes")
        self.assertEqual(self.successResultOf(asked), "yes")
        self.assertEqual(self.lately.recall("a"), "yes")
        self.clock.advance(1)
        self.assertIsNone(self.lately.recall("a"))

    def test_changed(self) -> None:
        """What was changed is not believed any more; all else is."""
        self.learnt("a", "yes")
        self.learnt("b", "yes")
        self.lately.forget("a")
        self.assertIsNone(self.lately.recall("a"))
        self.assertEqual(self.lately.recall("b"), "yes")

    def test_changed_meanwhile(self) -> None:
        """An answer from before a change is neither told nor kept: it is asked again."""
        waiting = [self.lately.learn("a", self.ask) for _ in range(2)]
        self.lately.forget("a")
        late = self.lately.learn("a", self.ask)
        old, older, new = self.questions
        for question, answer in ((new, "no"), (old, "yes"), (older, "yes")):
            question.callback(answer)
        self.assertEqual(self.successResultOf(late), "no")
        self.assertEqual(self.lately.recall("a"), "no")
        for asked, again in zip(waiting, self.questions[3:], strict=True):
            self.assertNoResult(asked)
            again.callback("no")
            self.assertEqual(self.successResultOf(asked), "no")

    def test_failed(self) -> None:
        """A failure is told, and not kept; nor is anything of a question that was given up."""
        failing, cancelled = (self.lately.learn("a", self.ask) for _ in range(2))
        self.questions[0].errback(ServiceError("store", "gone"))
        self.failureResultOf(failing, ServiceError)
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.assertIsNone(self.lately.recall("a"))
        self.assertEqual(self.lately._open, {})

    def test_bounded(self) -> None:
        """So many are remembered; what was learnt first goes first."""
        self.patch(lately, "REMEMBERED", 2)
        for key in ("a", "b", "a", "c"):
            self.learnt(key, "yes")
        self.assertEqual([self.lately.recall(key) for key in "abc"], ["yes", None, "yes"])


class ArrivalsTests(SynchronousTestCase):
    """Devices."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.looked_up: list[Deferred[list[Any]]] = []
        self.noted: list[Arrival] = []
        self.arrivals = Arrivals(self.note, self.look_up, self.clock.seconds)

    def note(self, arrivals: Sequence[Arrival]) -> Deferred[list[DeviceRecord | ServiceError]]:
        self.noted += arrivals
        done: Deferred[list[DeviceRecord | ServiceError]] = Deferred()
        done.callback(
            [DeviceRecord(id=seen.id, first_seen=0, last_seen=now) for seen, now, _ in arrivals]
        )
        return done

    def look_up(self, device_ids: Sequence[str]) -> Deferred[list[Standing | ServiceError]]:
        self.looked_up.append(Deferred())
        return self.looked_up[-1]

    def came(self, device: Seen, now: float) -> float:
        return self.successResultOf(self.arrivals.came((device, now, None))).last_seen

    def test_noted(self) -> None:
        """Who comes again at once with no news is not noted again, but for what may be new."""
        device = Seen(id="a")
        self.assertEqual([self.came(device, now) for now in (0.0, 1.0)], [0.0, 0.0])
        self.assertEqual(len(self.noted), 1)
        for again, (seen, now) in enumerate(
            ((device, EXACT), (Seen(id="a", board="b"), EXACT + 1), (Seen(id="c"), 0.0)), 2
        ):
            self.assertEqual((self.came(seen, now), len(self.noted)), (now, again))
        self.clock.advance(SOON)
        self.came(Seen(id="c"), 0.0)
        self.assertEqual(len(self.noted), 5)

    def test_boots(self) -> None:
        """What a device is handed when it boots depends on what holds now: it is always asked."""
        for _ in range(2):
            self.successResultOf(self.arrivals.seen((Seen(id="a"), 0.0, None)))
        self.assertEqual(len(self.noted), 2)

    def test_standing(self) -> None:
        """A standing is believed for a moment: one look-up for a device that comes and goes."""
        first = self.arrivals.standing("a")
        self.looked_up.pop().callback([GOOD])
        self.assertEqual(self.successResultOf(first), GOOD)
        self.clock.advance(SOON - 1)
        self.assertEqual(self.successResultOf(self.arrivals.standing("a")), GOOD)
        self.clock.advance(1)
        self.assertNoResult(self.arrivals.standing("a"))

    def test_blocked(self) -> None:
        """Once it is acknowledged that a device is blocked, nobody is told it was not.

        Neither from memory nor by a look-up that began before and is late.
        """
        known = self.arrivals.standing("a")
        self.looked_up.pop().callback([GOOD])
        self.successResultOf(known)
        self.assertTrue(self.arrivals.changed(True, "a"))
        asked = self.arrivals.standing("a")
        self.assertNoResult(asked)
        self.arrivals.changed(True, "a")
        self.looked_up.pop().callback([GOOD])
        self.assertNoResult(asked)
        self.looked_up.pop().callback([VOID])
        self.assertEqual(self.successResultOf(asked), VOID)
        self.assertEqual(self.successResultOf(self.arrivals.standing("a")), VOID)
