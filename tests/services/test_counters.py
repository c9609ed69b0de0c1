"""Counting: values by name and labels, and what is not on the list."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.counters import METRICS, Counters


class Counting(SynchronousTestCase):
    def setUp(self) -> None:
        self.counters = Counters()

    def test_count(self) -> None:
        """A counter adds up, for each of its labels."""
        for reason in ("full", "token", "full"):
            self.counters.count("connections_refused", reason=reason)
        self.counters.count("frames_sent", 5)
        self.assertEqual(
            sorted(self.counters.values("connections_refused")), [(("full",), 2), (("token",), 1)]
        )
        self.assertEqual(list(self.counters.values("frames_sent")), [((), 5)])
        self.assertEqual(list(self.counters.values("frames_dropped")), [((), 0)])

    def test_gauge(self) -> None:
        """A gauge is read when it is asked for."""
        open_now = [1]
        self.counters.gauge("connections", lambda: len(open_now))
        open_now.append(2)
        self.assertEqual(self.counters.value("connections"), 2)
        self.assertEqual(list(self.counters.values("connections")), [((), 2)])

    def test_observe(self) -> None:
        """A duration is in the first class it does not exceed, or above all."""
        for seconds in (0.05, 0.06, 99.0):
            self.counters.observe("turn_latency", seconds)
        ((labels, spread),) = self.counters.spreads("turn_latency")
        self.assertEqual(labels, ())
        self.assertEqual(spread.counts[:2] + spread.counts[-1:], [1, 1, 1])
        self.assertAlmostEqual(spread.total, 99.11)
        self.assertEqual(self.counters.value("turn_latency"), 3)

    def test_mistakes(self) -> None:
        """What is not on the list, or has other labels, is a mistake."""
        for name, labels in (
            ("frames_flown", {}),
            ("connections_refused", {}),
            ("connections_refused", {"why": "full"}),
            ("frames_sent", {"to": "x"}),
        ):
            self.assertRaises(KeyError, self.counters.count, name, **labels)

    def test_the_list(self) -> None:
        """Every metric is explained in a sentence, under a name as Prometheus wants it."""
        for name, metric in METRICS.items():
            self.assertTrue(metric.help.endswith("."), name)
            self.assertRegex(metric.exported(name), r"^xiaozhi_[a-z_]+$")
        self.assertEqual(METRICS["turns"].exported("turns"), "xiaozhi_turns_total")
        self.assertEqual(
            METRICS["reactor_lag"].exported("reactor_lag"), "xiaozhi_reactor_lag_seconds"
        )
