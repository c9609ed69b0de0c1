"""WebRTC's detector, on sounds whose nature is known."""

from __future__ import annotations

import math
import random
import sys
from array import array
from pathlib import Path
from unittest.mock import patch

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import Unavailable
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.vad import Listener
from xiaozhi.services.vad.webrtc import RATE, Detector, Settings


def vowel(seconds: float) -> bytes:
    """Make a voice that says "ah": a buzz of 120 Hz through two formants, softly swelling."""
    samples = []
    for n in range(int(seconds * RATE)):
        t = n / RATE
        value = 0.0
        for harmonic in range(1, 33):
            f = 120 * harmonic
            gain = 1 / (1 + ((f - 700) / 150) ** 2) + 0.5 / (1 + ((f - 1200) / 200) ** 2)
            value += gain * math.sin(2 * math.pi * f * t)
        samples.append(int(4000 * value * (1 + 0.5 * math.sin(2 * math.pi * 4 * t))))
    return array("h", (max(-32768, min(32767, s)) for s in samples)).tobytes()


def noise(seconds: float, volume: float) -> bytes:
    """Make white noise."""
    source = random.Random(0)
    return array("h", (int(source.gauss(0, volume)) for _ in range(int(seconds * RATE)))).tobytes()


def hum(seconds: float) -> bytes:
    """Make the hum of the mains."""
    return array(
        "h", (int(3000 * math.sin(math.tau * 50 * n / RATE)) for n in range(int(seconds * RATE)))
    ).tobytes()


class WebRTC(SynchronousTestCase):
    def detector(self, **settings: int) -> Detector:
        workshop = Workshop(Clock(), Workers(Clock(), "vad"), Path("state"), "en")
        return Detector(Settings(**settings), workshop)

    def share(self, listener: Listener, pcm: bytes) -> float:
        """Tell which share of `pcm` is taken for voice."""
        size = Detector.samples * 2
        pieces = [pcm[start : start + size] for start in range(0, len(pcm), size)]
        return sum(listener.probability(piece) for piece in pieces) / len(pieces)

    def test_piece(self) -> None:
        """A device's packet, 20, 40 or 60 ms of Opus, is a whole number of pieces."""
        for ms in (20, 40, 60):
            self.assertEqual(RATE * ms // 1000 % self.detector().samples, 0)

    def test_voice(self) -> None:
        """A voice after silence is voice, and the silence after it is none."""
        listener = self.detector().open()
        self.assertEqual(self.share(listener, bytes(RATE)), 0)
        self.assertGreater(self.share(listener, vowel(1)), 0.9)
        # It clings to a voice for a moment: at most 0.2 s.
        self.share(listener, bytes(2 * RATE // 5))
        self.assertEqual(self.share(listener, bytes(RATE)), 0)

    def test_loud_room(self) -> None:
        """Noise and hum are none, which the gentler modes do not know."""
        for sound in (noise(1, 1000), hum(1)):
            self.assertLess(self.share(self.detector().open(), sound), 0.1)
            self.assertGreater(self.share(self.detector(aggressiveness=1).open(), sound), 0.5)

    def test_certain(self) -> None:
        """Its probability is 0 or 1."""
        listener = self.detector().open()
        piece = noise(0.02, 300)
        self.assertIn(listener.probability(piece), (0.0, 1.0))

    def test_reset(self) -> None:
        """After a reset it judges as it did at first."""
        sound = noise(0.2, 300) + vowel(0.3) + noise(0.3, 600)
        listener = self.detector().open()
        first = [self.share(listener, sound[n : n + 640]) for n in range(0, len(sound), 640)]
        listener.reset()
        again = [self.share(listener, sound[n : n + 640]) for n in range(0, len(sound), 640)]
        self.assertEqual(first, again)

    def test_sessions(self) -> None:
        """Each session has a detector of its own."""
        detector = self.detector()
        one, other = detector.open(), detector.open()
        self.share(one, vowel(0.5))
        self.assertEqual(self.share(other, bytes(6400)), 0)

    def test_settings(self) -> None:
        """An aggressiveness that does not exist is refused."""
        for wrong in (-1, 4):
            with self.assertRaises(msgspec.ValidationError):
                msgspec.convert({"aggressiveness": wrong}, Settings)

    def test_unavailable(self) -> None:
        """Without the package the engine says how to get it."""
        with (
            patch.dict(sys.modules, {"webrtcvad": None}),
            self.assertRaisesRegex(Unavailable, "pip install webrtcvad-wheels"),
        ):
            self.detector()
