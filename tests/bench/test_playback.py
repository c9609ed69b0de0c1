"""What a device makes of the moments at which frames come."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.playback import BURST, FRAME, lateness, played_by, stalls


def paced(frames: int, began: float = 100.0) -> list[float]:
    """Give the moments of an ideal answer."""
    return [began + max(0, number - BURST + 1) * FRAME for number in range(frames)]


class Playback(SynchronousTestCase):
    def test_ideal(self) -> None:
        """An ideal answer is never late, never dry, and lasts as long as its frames."""
        arrivals = paced(100)
        self.assertEqual(stalls(arrivals), [])
        self.assertEqual(lateness(arrivals), [0.0] * 100)
        self.assertAlmostEqual(played_by(arrivals), 100.0 + 100 * FRAME)

    def test_lead_covers_a_delay(self) -> None:
        """A frame may be late by all the sound that is ahead of it."""
        arrivals = paced(30)
        arrivals[20] += (BURST - 1) * FRAME
        self.assertEqual(stalls(arrivals), [])
        self.assertAlmostEqual(max(lateness(arrivals)), 0.24)

    def test_stall(self) -> None:
        """Later than that, and there is silence; what comes after it is played later, too."""
        arrivals = paced(30)
        arrivals[20:] = [came + 0.34 for came in arrivals[20:]]
        ((frame, seconds),) = stalls(arrivals)
        self.assertEqual(frame, 20)
        self.assertAlmostEqual(seconds, 0.1)
        self.assertAlmostEqual(played_by(arrivals), 100.0 + 30 * FRAME + 0.1)

    def test_nothing_came(self) -> None:
        """An answer without sound has no stalls either."""
        self.assertEqual((stalls([]), lateness([]), played_by([])), ([], [], 0.0))
