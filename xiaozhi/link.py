"""The one way out to a device: says whether a message went, never raises, knows a slow reader."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from xiaozhi.messages import Down
from xiaozhi.scope import Scope
from xiaozhi.services.counters import Counters
from xiaozhi.wire import encode, encode_binary

PATIENCE = 20.0
"""Seconds after which a device that does not read what it is sent is let go."""

_WAITING = 64
"""So many control messages may wait for a slow reader."""


class Socket(Protocol):
    """What a link needs of a WebSocket."""

    def can_send(self) -> bool:
        """Say whether frames can be sent."""

    def write(self, payload: bytes, binary: bool) -> None:
        """Send one frame."""

    def say_goodbye(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""

    def abort(self) -> None:
        """Cut the connection."""


@implementer(IPushProducer)
class Link:
    """Send to one device.

    As the transport's producer it is told when the peer stops reading. From then on sound is
    dropped, since late sound is of no use, and a few control messages wait. None of those is
    ever left out, or the device would be stuck: a reader with too many of them, or one that
    does not recover in time, is cut off. So a stalled device costs a bounded memory.
    """

    def __init__(
        self,
        socket: Socket,
        session_id: str,
        clock: Any,
        device: str = "",
        counters: Counters | None = None,
    ) -> None:
        """Send through `socket`, as session `session_id` of `device`; tell `counters`."""
        self.scope = Scope(session_id, device)
        """The session and its device, as the log speaks of them."""
        self.version = 1
        """The device's binary framing."""
        self.badge = False
        """Whether the device takes a badge's messages."""
        self.sent = 0
        """Audio frames that went out."""
        self.dropped = 0
        """Frames and messages that did not."""
        self.spoke: float = clock.seconds()
        """When anything last went out: a device takes a long silence for a dead connection."""
        self._played = 0
        """Milliseconds of sound so far: the timestamps, by which a device finds echoes."""
        self._socket = socket
        self._counters = counters or Counters()
        self._clock = clock
        self._waiting = 0
        self._impatience: IDelayedCall | None = None

    def send(self, message: Down) -> bool:
        """Tell the device; say whether the message went."""
        return self.text(encode(message, self.scope.session))

    def text(self, payload: bytes) -> bool:
        """Send a text frame as it is; say whether it went."""
        if self._impatience is not None:
            self._waiting += 1
            if self._waiting > _WAITING:
                self._give_up()
        return self._write(payload, False, True)

    def sound(self, packet: bytes, length: int) -> bool:
        """Send one Opus packet of `length` ms; say whether it went."""
        self._played += length
        frame = encode_binary(packet, self.version, self._played)
        went = self._write(frame, True, self._impatience is None)
        if went:
            self.sent += 1
            self._counters.count("frames_sent")
        return went

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye: 1000 when all is well."""
        if self._socket.can_send():
            self._socket.say_goodbye(code, reason)

    def closed(self) -> None:
        """The socket is gone."""
        self.resumeProducing()

    def _write(self, payload: bytes, binary: bool, allowed: bool) -> bool:
        if not (allowed and self._socket.can_send()):
            self.dropped += 1
            self._counters.count("frames_dropped")
            return False
        self.spoke = self._clock.seconds()
        self._socket.write(payload, binary)
        return True

    def pauseProducing(self) -> None:
        """The peer does not read as fast as we write; after a goodbye that is another's worry."""
        if self._impatience is None and self._socket.can_send():
            self._impatience = self._clock.callLater(PATIENCE, self._give_up)

    def resumeProducing(self) -> None:
        """It reads again."""
        self._waiting = 0
        if self._impatience is not None:
            if self._impatience.active():
                self._impatience.cancel()
            self._impatience = None

    def stopProducing(self) -> None:
        """The transport is done with us."""
        self.resumeProducing()

    def _give_up(self) -> None:
        if self._socket.can_send():
            self._socket.abort()
