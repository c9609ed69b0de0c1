"""The device's microphone: speech that is scripted or captured, in real time, with silence around.

The firmware has no voice detection of its own: while it listens, a packet goes out every
frame, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xiaozhi.audio import Encoder

RATE: Final = 16000
WARM_UP: Final = 0.18
"""Seconds from `listen start` until the first packet comes out of the audio pipeline."""

_HELD: Final = 2 * RATE * 2
"""Bytes of captured sound that are kept while nobody takes them: two seconds."""

_CATCH_UP: Final = 40
"""Packets sent at once after a delay; the firmware's queue holds no more either."""


class Microphone:
    """Make a packet of `frame_ms` every `frame_ms` while it is on."""

    def __init__(
        self,
        clock: IReactorTime,
        frame_ms: int,
        send: Callable[[bytes], None],
        spoken: Callable[[], None],
        *,
        live: bool = False,
    ) -> None:
        """Give the packets to `send`, and call `spoken` when all speech has been sent.

        A `live` one sends what was captured and nothing else; others put silence around speech.
        """
        self._clock = clock
        self._send = send
        self._spoken = spoken
        self._live = live
        self._encoder = Encoder(RATE, frame_ms, None, complexity=0, voice=False, dtx=True)
        self._speech = bytearray()
        self._due = 0.0
        self._call: IDelayedCall | None = None

    @property
    def silent(self) -> bool:
        """Whether there is nothing left to say."""
        return not self._speech

    def say(self, pcm: bytes) -> None:
        """Speak `pcm` (16 kHz) into it, after what is being said already."""
        self._speech += pcm
        if self._live:
            del self._speech[:-_HELD]

    def hush(self) -> None:
        """Forget what was still to be said."""
        self._speech.clear()

    def switch(self, on: bool) -> None:
        """Turn it on or off; on when it is on changes nothing."""
        if on and self._call is None:
            self._encoder.reset()
            self._due = self._clock.seconds() + WARM_UP
            self._call = self._clock.callLater(WARM_UP, self._tick)
        elif not on and self._call is not None:
            self._call.cancel()
            self._call = None

    def next_packet(self) -> bytes | None:
        """Take the next packet now; None from a live one that has not captured enough."""
        size = self._encoder.frame_bytes
        if self._live and len(self._speech) < size:
            return None
        pcm = bytes(self._speech[:size])
        del self._speech[:size]
        return self._encoder.encode(pcm)

    def _tick(self) -> None:
        now = self._clock.seconds()
        frame = self._encoder.frame_ms / 1000
        self._due = max(self._due, now - _CATCH_UP * frame)
        self._call = self._clock.callLater(0, self._tick)
        while self._due <= now + 1e-6 and self._call is not None:
            self._due += frame
            speaking = not self.silent
            if (packet := self.next_packet()) is not None:
                self._send(packet)
            if speaking and self.silent:
                self._spoken()
        if self._call is not None:
            self._call.reset(max(0.0, self._due - now))
