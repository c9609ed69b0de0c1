"""What every voice detector keeps to, whatever it is made of."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests import sounds
from xiaozhi.audio import resample
from xiaozhi.device import voice
from xiaozhi.services.engine import Settings, Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.vad import Detector, Listener


@cache
def speech() -> bytes:
    """Say something of 1.3 s, as loud as somebody across a table."""
    rate, pcm = voice._espeak("Turn on the light, please.", "en-us")
    return sounds.pcm(sounds.at(sounds.sound(resample(pcm, rate, sounds.RATE)), -26))


def noise(seconds: float, decibels: float = -30) -> bytes:
    """Make white noise."""
    return sounds.pcm(sounds.at(sounds.white(seconds), decibels))


class DetectorContract:
    """Inherit it beside SynchronousTestCase, and name the engine's `Detector` and `Settings`."""

    if TYPE_CHECKING:
        case = SynchronousTestCase()
        assertEqual = case.assertEqual
        assertGreater = case.assertGreater
        assertLess = case.assertLess
        assertNotEqual = case.assertNotEqual

    detector_class: Any
    settings_class: type[Settings]

    def detector(self, **settings: Any) -> Detector:
        workshop = Workshop(Clock(), Workers(Clock(), "vad"), Path("state"), "en")
        made: Detector = self.detector_class(self.settings_class(**settings), workshop)
        return made

    def hear(self, listener: Listener, pcm: bytes) -> list[float]:
        """Tell the probability of each whole piece of `pcm`."""
        size = self.detector_class.samples * 2
        return [
            listener.probability(pcm[start : start + size])
            for start in range(0, len(pcm) - size + 1, size)
        ]

    def share(self, listener: Listener, pcm: bytes) -> float:
        """Tell which share of `pcm` is taken for voice."""
        heard = self.hear(listener, pcm)
        return sum(probability >= 0.5 for probability in heard) / len(heard)

    def test_piece(self) -> None:
        """A piece is a few hundredths of a second: the endpointing counts in them."""
        self.assertGreater(self.detector_class.samples, 0.009 * sounds.RATE)
        self.assertLess(self.detector_class.samples, 0.05 * sounds.RATE)

    def test_voice(self) -> None:
        """A voice after silence is voice, and the silence soon after it is none."""
        listener = self.detector().open()
        self.assertEqual(self.share(listener, bytes(2 * sounds.RATE)), 0)
        self.assertGreater(self.share(listener, speech()), 0.6)
        # It clings to a voice for a moment: at most 0.2 s.
        self.share(listener, bytes(2 * sounds.RATE // 5))
        self.assertEqual(self.share(listener, bytes(2 * sounds.RATE)), 0)

    def test_quiet_voice(self) -> None:
        """So is one from the other end of the room, a twelfth as loud."""
        far = sounds.pcm(sounds.sound(speech()) / 12)
        self.assertGreater(self.share(self.detector().open(), far), 0.5)

    def test_noise(self) -> None:
        """A steady noise is hardly ever voice."""
        self.assertLess(self.share(self.detector().open(), noise(2)), 0.1)

    def test_probability(self) -> None:
        """It is a probability, whatever is heard."""
        square = b"\xff\x7f\x00\x80" * sounds.RATE
        for probability in self.hear(self.detector().open(), speech() + noise(0.5) + square):
            self.assertEqual(min(max(probability, 0.0), 1.0), probability)

    def test_anew(self) -> None:
        """A new session judges as the one before did at first."""
        detector = self.detector()
        sound = noise(0.2) + speech()
        first = self.hear(detector.open(), sound)
        self.assertEqual(self.hear(detector.open(), sound), first)

    def test_sessions(self) -> None:
        """Sessions that listen in turns hear what each of them would hear alone."""
        detector = self.detector()
        alone = [self.hear(detector.open(), sound) for sound in (speech(), noise(1))]
        one, other = detector.open(), detector.open()
        size = detector.samples * 2
        heard: tuple[list[float], list[float]] = ([], [])
        for start in range(0, 2 * sounds.RATE - size + 1, size):
            heard[0].extend(self.hear(one, speech()[start : start + size]))
            heard[1].extend(self.hear(other, noise(1)[start : start + size]))
        for apart, together in zip(alone, heard, strict=True):
            self.assertGreater(len(together), 20)
            self.assertEqual(together, apart[: len(together)])
        self.assertNotEqual(alone[0][:20], alone[1][:20])
