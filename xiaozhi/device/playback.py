"""The device's loudspeaker: a short queue of packets, played in real time.

Pure: whoever owns it says what time it is, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import attrs

from xiaozhi.audio import Decoder, packet_duration_ms
from xiaozhi.errors import BadMessage

QUEUE: Final = 42
"""Packets that can wait: 40 to be decoded and 2 that are, whatever their duration."""

_EPSILON: Final = 1e-6


@attrs.frozen
class Frame:
    """One packet on its way through the loudspeaker. Times are in seconds."""

    arrived: float
    played: float
    ms: float
    """How long it sounds."""
    gap: float
    """How long the loudspeaker had stood silent before it, in the middle of an answer."""


class Playback:
    """Play the packets of one answer after another, as the firmware's queues do."""

    def __init__(
        self,
        played: Callable[[Frame, bytes], None],
        fault: Callable[[str], None],
        *,
        decode: bool = True,
    ) -> None:
        """Give every frame to `played` with its PCM (none unless `decode`), faults to `fault`."""
        self.rate = 24000
        self.frame_ms = 60.0
        self._played = played
        self._fault = fault
        self._decode = decode
        self._decoder: Decoder | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.free_at = 0.0
        """When the last frame that began has sounded, or will have."""
        self._begun = False

    def configure(self, rate: int, frame_ms: float) -> None:
        """Take the format the server's hello declares."""
        self.rate = rate
        self.frame_ms = frame_ms
        self._decoder = None

    def clear(self, now: float) -> int:
        """Forget what waits, for a new answer begins; tell how many packets were lost."""
        self.advance(now)
        lost = len(self._waiting)
        self._waiting.clear()
        self._decoder = None
        self.free_at = now
        self._begun = False
        return lost

    def push(self, packet: bytes, now: float) -> bool:
        """Queue a packet; False if the queue was full and the packet is lost."""
        self.advance(now)
        if len(self._waiting) >= QUEUE:
            return False
        self._waiting.append((now, packet))
        self.advance(now)
        return True

    def advance(self, now: float) -> None:
        """Begin every frame whose time has come."""
        while self._waiting and self.free_at <= now + _EPSILON:
            arrived, packet = self._waiting.popleft()
            try:
                ms = packet_duration_ms(packet)
                pcm = self._sound(packet) if self._decode else b""
            except BadMessage as error:
                self._fault(str(error))
                continue
            if ms > self.frame_ms:
                self._fault(f"a packet of {ms:g} ms where hello declared {self.frame_ms:g}")
                continue
            at = max(arrived, self.free_at)
            gap = at - self.free_at if self._begun else 0.0
            self._begun = True
            self.free_at = at + ms / 1000
            self._played(Frame(arrived, at, ms, gap), pcm)

    def silent_at(self, now: float) -> float | None:
        """Tell when the frame that sounds now ends; None if there is none and none waits."""
        return self.free_at if self._waiting or self.free_at > now + _EPSILON else None

    def _sound(self, packet: bytes) -> bytes:
        self._decoder = self._decoder or Decoder(self.rate)
        return self._decoder.decode(packet)
