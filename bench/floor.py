"""The least a server can do: a bare Autobahn server that decodes, detects voice and encodes.

It shares the server's codec and detector, and its reactor, and does nothing else: when it has
heard speech and then the silence window, it sends as many frames as the server's answer has,
each encoded when it is due. What the server needs beyond this is what its comforts cost.
"""

from __future__ import annotations

import argparse
from functools import cache, partial
from typing import Any, Final

from xiaozhi._reactor import install

install(fast=True)  # before Autobahn imports another

from autobahn.twisted.websocket import (  # noqa: E402
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet import reactor as the_reactor  # noqa: E402

from bench.playback import BURST, FRAME  # noqa: E402
from bench.sounds import MICROPHONE, RATE, answer  # noqa: E402
from bench.uplink import SILENCE, detector  # noqa: E402
from xiaozhi.audio import SAMPLE_BYTES, Decoder, Encoder, resample  # noqa: E402
from xiaozhi.settings import Audio  # noqa: E402

reactor: Any = the_reactor

AUDIO: Final = Audio()
"""The sound the server sends by default; it is the floor's, too."""

_SPEECH = 0.16
"""Seconds of voice that are speech."""

_START: Final = b'{"type":"tts","state":"start"}'


@cache
def spoken() -> bytes:
    """Give the answer as the encoder wants it."""
    return resample(b"".join(answer().values()), RATE, AUDIO.sample_rate)


class Hearing:
    """Decode, and detect voice; no more."""

    def __init__(self) -> None:
        """Wait for speech."""
        self._decoder = Decoder(MICROPHONE)
        found = detector()
        self._piece = found.samples * SAMPLE_BYTES
        self._length = found.samples / MICROPHONE
        self._detector = found.open()
        self._rest = b""
        self._voiced = self._quiet = 0.0

    def feed(self, packet: bytes) -> float | None:
        """Hear a packet; if the silence window ends in it, tell the seconds after that."""
        pcm = self._rest + self._decoder.decode(packet)
        whole = len(pcm) - len(pcm) % self._piece
        self._rest = pcm[whole:]
        ended = None
        for start in range(0, whole, self._piece):
            if self._detector.probability(pcm[start : start + self._piece]) >= 0.5:
                self._voiced += self._length
                self._quiet = 0.0
            elif self._voiced >= _SPEECH:
                self._quiet += self._length
                if self._quiet >= SILENCE - 1e-6:
                    self._voiced = self._quiet = 0.0
                    ended = (len(pcm) - start - self._piece) / SAMPLE_BYTES / MICROPHONE
        return ended


class Echo(WebSocketServerProtocol):
    """One device's connection."""

    def onOpen(self) -> None:
        """Make what one connection needs."""
        self._hearing = Hearing()
        self._encoder = Encoder(
            AUDIO.sample_rate, AUDIO.frame_duration, AUDIO.bitrate, AUDIO.complexity
        )
        self._pcm = spoken()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hear a packet; answer when the silence window is over. Echo text, by a frame as well."""
        if not isBinary:
            self.sendMessage(_START)
            self.sendMessage(self._encoder.encode(self._pcm[: self._encoder.frame_bytes]), True)
        elif self._hearing.feed(payload) is not None:
            self.speak(0, reactor.seconds())

    def speak(self, number: int, began: float) -> None:
        """Send a frame, and the next when it is due."""
        size = self._encoder.frame_bytes
        pcm = self._pcm[number * size : (number + 1) * size]
        if pcm and self.state == self.STATE_OPEN:
            self.sendMessage(self._encoder.encode(pcm), True)
            due = began + max(0, number + 2 - BURST) * FRAME
            delay = max(0.0, due - reactor.seconds())
            reactor.callLater(delay, self.speak, number + 1, began)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    factory = WebSocketServerFactory()
    factory.protocol = Echo
    factory.setProtocolOptions(tcpNoDelay=True)
    spoken()
    reactor.callWhenRunning(
        partial(reactor.listenTCP, port, factory, backlog=1024, interface="127.0.0.1")
    )
    reactor.run()


if __name__ == "__main__":
    main()
