"""Pacing: when each audio frame leaves, so that the device's queue never runs dry or over.

The device plays what it is sent in real time and holds 40 packets at most. The pacer keeps a
model of its playback, `ends_at`: the moment at which everything sent so far will have been
played. A frame may leave when less than a burst is ahead of the device. That one rule gives a
burst of `burst` frames at the beginning, then one frame per frame time on an absolute clock
(sleeping too long once does not delay what follows), and a new burst after the device ran dry.
"""

from __future__ import annotations


class Pacer:
    """Decide when the next frame of one answer leaves. All times are in seconds."""

    def __init__(self, frame: float, burst: int = 5) -> None:
        """Pace frames of `frame` seconds, at most `burst` of them ahead of the device."""
        self._frame = frame
        self._lead = frame * burst
        self.ends_at = 0.0
        """When the device will have played all it was sent."""
        self._not_before = 0.0

    def hold(self, until: float) -> None:
        """Send nothing before `until`."""
        self._not_before = until

    def next_at(self) -> float:
        """Tell when the next frame may leave: now, if that has passed."""
        # A hair early is in time; without it, rounding would cost the burst its last frame.
        return max(self._not_before, self.ends_at + self._frame - self._lead - 1e-6)

    def sent(self, now: float) -> None:
        """Count a frame that left at `now`."""
        self.ends_at = max(self.ends_at, now) + self._frame
