"""What a device makes of the frames it was sent: how late they came, and where sound ran dry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

FRAME: float = 0.06
"""Seconds of sound in a frame."""

BURST: int = 5
"""Frames a server sends ahead of playback."""


class Stall(NamedTuple):
    """Playback ran dry in the middle of an answer."""

    frame: int
    """The frame that was missing."""
    seconds: float
    """How long there was nothing to play."""


def stalls(arrivals: Sequence[float]) -> list[Stall]:
    """Find the stalls of one answer whose frames came at `arrivals` (seconds).

    A device plays its first frame when it has it, and each of the others when the one before
    has ended, or when it comes, if that is later.
    """
    found = []
    dry_at = arrivals[0] if arrivals else 0.0
    for number, came in enumerate(arrivals):
        if came > dry_at + 1e-9:
            found.append(Stall(number, came - dry_at))
        dry_at = max(dry_at, came) + FRAME
    return found


def lateness(arrivals: Sequence[float]) -> list[float]:
    """Tell how many seconds after its moment each frame came.

    Its moment is on the ideal schedule: a burst with the first frame, then one per frame time,
    so that a frame that is `(BURST - 1) * FRAME` late is just in time to be played.
    """
    return [
        came - (arrivals[0] + max(0, number - BURST + 1) * FRAME)
        for number, came in enumerate(arrivals)
    ]


def played_by(arrivals: Sequence[float]) -> float:
    """Tell when the device has played all of it."""
    end = arrivals[0] if arrivals else 0.0
    for came in arrivals:
        end = max(end, came) + FRAME
    return end
