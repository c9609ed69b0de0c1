"""WebRTC's detector, on sounds whose nature is known."""

from __future__ import annotations

import sys
from unittest.mock import patch

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.services.vad.contract import DetectorContract, noise, speech
from xiaozhi.errors import Unavailable
from xiaozhi.services.vad.webrtc import RATE, Detector, Settings


class WebRTC(DetectorContract, SynchronousTestCase):
    detector_class = Detector
    settings_class = Settings

    def test_packets(self) -> None:
        """A device's packet, 20, 40 or 60 ms of Opus, is a whole number of pieces."""
        for ms in (20, 40, 60):
            self.assertEqual(RATE * ms // 1000 % self.detector().samples, 0)

    def test_loud_room(self) -> None:
        """Noise is none, which the gentler modes do not know."""
        self.assertLess(self.share(self.detector().open(), noise(1)), 0.1)
        self.assertGreater(self.share(self.detector(aggressiveness=1).open(), noise(1)), 0.5)

    def test_certain(self) -> None:
        """Its probability is 0 or 1."""
        self.assertEqual(set(self.hear(self.detector().open(), speech())), {0.0, 1.0})

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
