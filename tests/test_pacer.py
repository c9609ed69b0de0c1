"""When frames leave."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.pacer import Pacer

FRAME = 0.06


def send(pacer: Pacer, now: float, frames: int, late: float = 0.0) -> list[float]:
    """Send `frames` as soon as each may leave, waking `late`; tell when they left."""
    times = []
    for _ in range(frames):
        now = max(now, pacer.next_at() + (late if pacer.next_at() > now else 0.0))
        pacer.sent(now)
        times.append(round(now - 100.0, 3))
    return times


class Pace(SynchronousTestCase):
    def test_burst_then_clock(self) -> None:
        """Five frames leave at once, then one per frame time."""
        self.assertEqual(send(Pacer(FRAME), 100.0, 8), [0.0, 0.0, 0.0, 0.0, 0.0, 0.06, 0.12, 0.18])

    def test_no_drift(self) -> None:
        """Waking late each time does not add up: the clock is absolute."""
        times = send(Pacer(FRAME), 100.0, 200, late=0.01)
        self.assertAlmostEqual(times[-1], 195 * FRAME + 0.01, places=3)

    def test_hold(self) -> None:
        """The first frame waits for the device to be ready."""
        pacer = Pacer(FRAME)
        pacer.hold(100.06)
        self.assertEqual(send(pacer, 100.0, 6), [0.06] * 5 + [0.12])

    def test_end_of_playback(self) -> None:
        """The pacer knows when the device will have played everything."""
        pacer = Pacer(FRAME)
        send(pacer, 100.0, 10)
        self.assertAlmostEqual(pacer.ends_at, 100.6)

    def test_after_a_stall(self) -> None:
        """After the device ran dry a new burst fills it up."""
        pacer = Pacer(FRAME)
        send(pacer, 100.0, 5)
        self.assertEqual(send(pacer, 103.0, 6), [3.0] * 5 + [3.06])

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 1), max_size=100), st.sampled_from([0.02, 0.04, 0.06]))
    def test_never_too_many(self, pauses: list[float], frame: float) -> None:
        """Whatever the frames' arrival, at most five are ahead of the device."""
        pacer, now = Pacer(frame), 100.0
        for pause in pauses:
            now = max(now + pause, pacer.next_at())
            pacer.sent(now)
            self.assertLessEqual(pacer.ends_at - now, 5 * frame + 1e-5)
