"""Detect voice with WebRTC's detector: a few microseconds a piece, no model.

Why aggressiveness 2 is the default, measured on ten sentences with a second of pause between
them (share of pieces missed within sentences / taken for voice in the pauses):

    mode   digital silence   white 20 dB   pink 10 dB   white noise alone   50 Hz hum alone
    0, 1   4 % / 0           8 % / 1 %     8 % / 19-74 %     93-100 %           100 %
    2      5 % / 0           10 % / 1 %    12 % / 6 %        0.4 %              0.4 %
    3      7 % / 0           12 % / 1 %    14 % / 6 %        0.4 %              0.4 %

The gentle modes never find the end of an utterance in a loud room; mode 3 gains nothing over
mode 2 and misses more. The longest gap any mode leaves within a sentence is 0.34 s, which the
endpointing bridges. The hum of a real mains, with its harmonics, and music fool every mode:
see `bench/vad.py`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from msgspec import Meta

from xiaozhi.errors import missing
from xiaozhi.services import engine

RATE = 16000


class Settings(engine.Settings, frozen=True):
    """Settings of the WebRTC detector."""

    aggressiveness: Annotated[
        int,
        Meta(description="0 takes most sounds for voice, 3 the fewest.", ge=0, le=3),
    ] = 2


class Listener:
    """The detector of one session: it adapts to the noise it hears."""

    def __init__(self, vad: Any) -> None:
        """Take a `webrtcvad.Vad` of its own; no noise is known at first."""
        self._vad = vad

    def probability(self, pcm: bytes) -> float:
        """Say 1.0 for voice, 0.0 for none: the detector does not doubt."""
        return float(self._vad.is_speech(pcm, RATE))


class Detector:
    """Makes listeners."""

    samples = RATE // 50
    """20 ms: an Opus packet of 20, 40 or 60 ms is a whole number of them."""

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Raise Unavailable if the package is missing."""
        try:
            # Here and not at the first session: it takes 40 ms.
            import webrtcvad
        except ImportError as error:
            raise missing("webrtcvad-wheels") from error
        self._make = partial(webrtcvad.Vad, settings.aggressiveness)

    def open(self) -> Listener:
        """Make the detector of one session."""
        return Listener(self._make())
