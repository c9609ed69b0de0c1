"""Sound hardware, on a stand-in for sounddevice with its interface."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.device.errors import NoSound
from xiaozhi.device.hardware import Capture, Speaker


class PortAudioError(Exception):
    """As sounddevice has it."""


class Stream:
    """A stream that does what its test says."""

    made: list[Stream] = []

    def __init__(self, *, callback: Callable[..., None], **settings: Any) -> None:
        self.callback = callback
        self.settings = settings
        self.state = "made"
        Stream.made.append(self)

    def start(self) -> None:
        self.state = "started"

    def close(self) -> None:
        self.state = "closed"


class HardwareTest(SynchronousTestCase):
    """Microphone and loudspeaker."""

    def install(self, stream: Callable[..., Stream]) -> None:
        module = ModuleType("sounddevice")
        names = {"RawInputStream": stream, "RawOutputStream": stream}
        module.__dict__.update(names, PortAudioError=PortAudioError)
        self.patch(sys, "modules", {**sys.modules, "sounddevice": module})
        Stream.made = []

    def test_capture(self) -> None:
        """What is captured is passed on, 16-bit mono at the rate asked for."""
        self.install(Stream)
        heard: list[bytes] = []
        capture = Capture(16000, heard.append)
        (stream,) = Stream.made
        stream.callback(bytearray(b"abcd"), 2, None, None)
        capture.close()
        self.assertEqual((heard, stream.state), ([b"abcd"], "closed"))
        settings = {"samplerate": 16000, "channels": 1, "dtype": "int16", "blocksize": 320}
        self.assertEqual(stream.settings, settings)

    def test_speaker(self) -> None:
        """What is to be played is played in order, with silence after it."""
        self.install(Stream)
        speaker = Speaker(24000)
        (stream,) = Stream.made
        speaker.play(b"abcd")
        speaker.play(b"ef")
        first, second = bytearray(4), bytearray(4)
        stream.callback(first, 2, None, None)
        stream.callback(second, 2, None, None)
        self.assertEqual((bytes(first), bytes(second)), (b"abcd", b"ef\0\0"))
        speaker.close()
        self.assertEqual(stream.state, "closed")

    def test_no_hardware(self) -> None:
        """A computer without sound says so."""

        def none(**settings: Any) -> Stream:
            raise PortAudioError("no default device")

        self.install(none)
        with self.assertRaisesRegex(NoSound, "no default device"):
            Speaker(24000)

    def test_no_package(self) -> None:
        """Without sounddevice the message says how to get it."""
        self.patch(sys, "modules", {**sys.modules, "sounddevice": None})
        with self.assertRaisesRegex(NoSound, "pip install sounddevice"):
            Capture(16000, lambda _: None)
