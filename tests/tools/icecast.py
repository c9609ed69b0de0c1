"""A radio station on loopback, as Icecast and SHOUTcast speak to their listeners.

Written from what icecast.org's documentation and SHOUTcast's protocol say: a burst at first, then
the stream, with no length and no end; old servers answer "ICY 200 OK".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol

MP3 = (Path(__file__).parent.parent / "services" / "tts" / "tone.mp3").read_bytes()
"""Half a second."""


class Station:
    """Sends `head`, then `sound` (for ever, if it `goes_on`), and hangs up or falls silent."""

    def __init__(self, head: str = "HTTP/1.0 200 OK", **headers: str) -> None:
        self.head = head
        self.headers = {"Content-Type": "audio/mpeg", "icy-name": "Loopback FM"} | headers
        self.sound = MP3 * 20
        self.goes_on = False
        self.hangs_up = False
        self.requests: list[list[str]] = []
        self.calls = 0
        """How often somebody has connected."""
        self.sent = 0
        """Bytes of sound that listeners took."""
        self.came: Deferred[None] = Deferred()
        """Fires at the first request."""
        self.left: Deferred[None] = Deferred()
        """Fires when the first listener is gone."""
        factory = Factory.forProtocol(lambda: _Listener(self))
        factory.noisy = False
        core: Any = reactor
        self._port = core.listenTCP(0, factory, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}/live?id=7"
        self.listeners: set[_Listener] = set()

    async def stop(self) -> None:
        await maybeDeferred(self._port.stopListening)
        for listener in list(self.listeners):
            listener.transport.abortConnection()


class _Listener(Protocol):
    transport: Any

    def __init__(self, station: Station) -> None:
        self._station = station
        self._heard = b""

    def connectionMade(self) -> None:
        self._station.calls += 1
        self._station.listeners.add(self)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if b"\r\n\r\n" in self._heard:
            station = self._station
            station.requests.append(self._heard.decode().split("\r\n")[:-2])
            self._heard = b""
            lines = [station.head, *(f"{name}: {text}" for name, text in station.headers.items())]
            self.transport.write("\r\n".join([*lines, "", ""]).encode())
            if station.goes_on:
                self.transport.registerProducer(self, False)
            else:
                self.transport.write(station.sound)
            if station.hangs_up:
                self.transport.loseConnection()
            if not station.came.called:
                station.came.callback(None)

    def resumeProducing(self) -> None:
        self._station.sent += len(self._station.sound)
        self.transport.write(self._station.sound)

    def stopProducing(self) -> None:
        self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self._station.listeners.discard(self)
        if not self._station.left.called:
            self._station.left.callback(None)
