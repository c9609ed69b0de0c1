"""What a device sends while it listens, and with which packet the silence after it is complete."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

from twisted.internet.task import Clock

from bench.playback import FRAME
from bench.sounds import FOLDER, MICROPHONE, question
from xiaozhi.audio import SAMPLE_BYTES, Decoder, Encoder
from xiaozhi.choices import ENGINES
from xiaozhi.endpointing import Endpointer, Hush, Limits
from xiaozhi.errors import Unavailable
from xiaozhi.services import engine
from xiaozhi.services.engine import Workshop
from xiaozhi.services.vad import Detector
from xiaozhi.settings import Listen

SILENCE = Listen().silence_ms / 1000
"""Seconds of silence that end an utterance, by default."""

_AFTER = 3.0
"""Seconds of silence that are encoded; the last packet of it stands for all that follow."""


class End(NamedTuple):
    """Where the silence window ends."""

    packet: int
    """The packet that completes it."""
    rest: float
    """Seconds of sound that packet holds beyond it: nobody can know before it is full."""


def packets() -> tuple[list[bytes], int]:
    """Encode the question and silence as a device does; tell how many packets the question is."""
    encoder = Encoder(MICROPHONE, round(FRAME * 1000), None, 0, voice=False, dtx=True)
    sound = question()
    spoken = -(-len(sound) // encoder.frame_bytes)
    sound += bytes(round(_AFTER * MICROPHONE) * SAMPLE_BYTES)
    return [
        encoder.encode(sound[start : start + encoder.frame_bytes])
        for start in range(0, len(sound), encoder.frame_bytes)
    ], spoken


@cache
def detector() -> Detector:
    """Make the detector of voice the server uses by default."""
    clock: Any = Clock()
    workshop = Workshop(clock, clock, FOLDER, "en")
    for name in ENGINES["vad"]:
        with suppress(Unavailable):
            made: Detector = engine.make("vad", name, engine.load("vad", name).Settings(), workshop)
            return made
    raise Unavailable("there is no detector of voice")


class Listener:
    """Hear as a session of the server hears: the same decoder, detector and endpointing."""

    def __init__(self) -> None:
        """Wait for speech."""
        self._decoder = Decoder(MICROPHONE)
        found = detector()
        self._piece = found.samples * SAMPLE_BYTES
        self._detector = found.open()
        self._rest = b""
        self._endpointer = Endpointer(Limits(silence=SILENCE))

    def feed(self, packet: bytes) -> float | None:
        """Hear a packet; if the utterance ends in it, tell the seconds after its end."""
        pcm = self._rest + self._decoder.decode(packet)
        whole = len(pcm) - len(pcm) % self._piece
        self._rest = pcm[whole:]
        ended = None
        for start in range(0, whole, self._piece):
            piece = pcm[start : start + self._piece]
            length = len(piece) / SAMPLE_BYTES / MICROPHONE
            edge = self._endpointer.push(self._detector.probability(piece), length, 0.0)
            if isinstance(edge, Hush):
                ended = (len(pcm) - start - len(piece)) / SAMPLE_BYTES / MICROPHONE
                self._endpointer.arm(0.0)
        return ended


def ends(sent: list[bytes], turns: int, feed: Callable[[bytes], float | None]) -> list[End]:
    """Find where the utterance ends in each of `turns` turns with one and the same listener."""
    found = []
    for _ in range(turns):
        for number, packet in enumerate(sent):
            rest = feed(packet)
            if rest is not None:
                found.append(End(number, rest))
                break
        else:
            raise AssertionError("the detector hears no end of the question")
    return found
