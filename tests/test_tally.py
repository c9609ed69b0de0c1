"""What a session tells the metrics."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeRecognition, Table, silence, tone
from xiaozhi.messages import Abort, Detect, ListenStart


class Told(SynchronousTestCase):
    def table(self, *texts: str | Exception | Deferred[str]) -> Table:
        table = Table(FakeRecognition(*texts))
        self.addCleanup(table.session.close)
        return table

    def counted(self, table: Table) -> dict[str, float]:
        """Tell what was counted of turns."""
        return {
            name + "".join(f" {label}" for label in labels): value
            for name in ("turns", "turns_failed")
            for labels, value in table.counters.values(name)
            if value
        } | {"latencies": table.counters.value("turn_latency")}

    def ask(self, table: Table) -> None:
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.5))
        table.pass_time(4.0)

    def sessions(self, table: Table) -> dict[str, float]:
        """Tell how many sessions there are, by whose turn it is."""
        return {state: value for (state,), value in table.counters.values("sessions") if value}

    def test_whose_turn(self) -> None:
        """A session is counted as what it is, from its beginning to its end."""
        table = self.table("hello")
        self.assertEqual(self.sessions(table), {"idle": 1})
        table.session.receive(ListenStart("auto"))
        self.assertEqual(self.sessions(table), {"listening": 1})
        table.hear(tone(1.2))
        self.assertEqual(self.sessions(table), {"hearing": 1})
        table.hear(silence(1.5))
        self.assertEqual(self.sessions(table), {"speaking": 1})
        for _ in range(2):
            table.session.close()
            table.session.receive(Abort())
            self.assertEqual(self.sessions(table), {})

    def test_spoken(self) -> None:
        """A spoken question counts, with the time from its end to the first sound."""
        table = self.table("hello", "again")
        self.ask(table)
        self.ask(table)
        self.assertEqual(self.counted(table), {"turns spoken": 2, "latencies": 2})
        ((_, spread),) = table.counters.spreads("turn_latency")
        self.assertLess(spread.total, 0.4)
        self.assertEqual(table.counters.value("frames_sent"), 80)

    def test_typed(self) -> None:
        """A typed one counts; nobody waited for the end of anything."""
        table = self.table()
        table.session.receive(Detect("hello"))
        table.pass_time(4.0)
        self.assertEqual(self.counted(table), {"turns typed": 1, "latencies": 0})

    def test_nothing_heard(self) -> None:
        """Noise is no turn, and the question after it is not measured from it."""
        table = self.table("")
        self.ask(table)
        table.session.receive(Detect("hello"))
        table.pass_time(4.0)
        self.assertEqual(self.counted(table), {"turns typed": 1, "latencies": 0})

    def test_silent(self) -> None:
        """An answer that was given up before its first sound has no latency."""
        table = self.table(Deferred())
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2))
        table.session.receive(Abort())
        table.session.receive(Detect("hello"))
        table.pass_time(4.0)
        self.assertEqual(self.counted(table), {"turns typed": 1, "latencies": 0})

    def test_our_fault(self) -> None:
        """A turn that ends with an error of ours counts as failed."""
        table = self.table(ZeroDivisionError("oops"))
        self.ask(table)
        self.assertEqual(self.counted(table), {"turns_failed": 1, "latencies": 0})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_dropped(self) -> None:
        """What a device does not read is counted."""
        table = self.table()
        table.link.pauseProducing()
        self.assertFalse(table.link.sound(b"x", 60))
        self.assertEqual(table.counters.value("frames_dropped"), 1)
