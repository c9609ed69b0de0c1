"""Voice activity: how likely it is that a piece of sound is speech.

Of the configured detectors the first that can be had is used. By default that is Silero's: both it
and WebRTC's find every utterance, in noise too, but hum, keys and music are speech to WebRTC's
nearly all the time, and hardly ever to Silero's. `bench/VAD.md` has the figures.
"""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """The detector of one session; it may keep state from piece to piece."""

    def probability(self, pcm: bytes) -> float:
        """Say how likely the piece (exactly `samples` samples) is speech, 0..1."""


class Detector(Protocol):
    """An engine of this kind: see `xiaozhi.services.engine`."""

    samples: int
    """Length of a piece, in samples of 16 kHz mono PCM."""

    def open(self) -> Listener:
        """Make the detector of one session."""
