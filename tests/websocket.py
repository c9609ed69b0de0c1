"""A WebSocket client in memory: bytes into the server's protocol, frames out, no time passing."""

from __future__ import annotations

import json
import struct
from typing import Any

import txaio
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure

from xiaozhi.factory import DeviceFactory, House
from xiaozhi.services.auth import Gate
from xiaozhi.services.auth.lists import Neighbours
from xiaozhi.services.counters import Counters
from xiaozhi.services.web.proxies import Proxies

HANDSHAKE = {
    # The firmware's Host has no port, and it sends neither Origin nor a subprotocol.
    "Host": "192.168.1.5",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
}


def set_clock(clock: Any) -> Any:
    """Let Autobahn's timers follow `clock`; returns what they followed before."""
    config: Any = txaio.config  # type: ignore[attr-defined]
    before, config.loop = config.loop, clock
    return before


class Transport(StringTransportWithDisconnection):
    """A transport as TCP's, as far as the server uses it."""

    def abortConnection(self) -> None:
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def unregisterProducer(self) -> None:
        if self.producer is not None:
            super().unregisterProducer()


class Peer:
    """One device at the other end of a connection."""

    def __init__(
        self, house: House, clock: Clock, max_connections: int = 10, gate: Gate | None = None
    ) -> None:
        # Autobahn's own timers follow txaio, not the factory.
        set_clock(clock)
        if gate is None:  # the usual one: neighbours may come in
            gate = Gate([Neighbours()], Proxies(), Counters(), clock, clock.seconds)
        self.factory = DeviceFactory(house, gate, clock, max_connections)
        self.transport = Transport(peerAddress=IPv4Address("TCP", "192.168.1.9", 40000))
        protocol: Any = self.factory.buildProtocol(None)
        self.protocol = self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        self._read = 0

    def handshake(self, path: str = "/xiaozhi/v1/", **headers: str) -> str:
        """Ask for the upgrade; give the status line of the answer."""
        fields = HANDSHAKE | {name.replace("_", "-"): text for name, text in headers.items()}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
        self.protocol.dataReceived("\r\n".join([*lines, "", ""]).encode())
        head: bytes = self.transport.value().partition(b"\r\n\r\n")[0]
        self._read = len(head) + 4
        return head.split(b"\r\n")[0].decode()

    def send(self, payload: object) -> None:
        """Send a frame: bytes as they are, anything else as JSON text."""
        if isinstance(payload, bytes):
            self._frame(2, payload)
        else:
            self._frame(1, json.dumps(payload).encode())

    def send_text(self, payload: bytes) -> None:
        """Send a text frame of any bytes."""
        self._frame(1, payload)

    def _frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
        self.protocol.dataReceived(head + b"\0\0\0\0" + payload)  # a mask that changes nothing

    def frames(self) -> list[Any]:
        """Read what came since last time: JSON as values, sound as bytes, a close as its code."""
        data = self.transport.value()
        found: list[Any] = []
        while self._read < len(data):
            opcode, size = data[self._read] & 15, data[self._read + 1] & 127
            self._read += 2
            if size == 126:
                (size,) = struct.unpack_from(">H", data, self._read)
                self._read += 2
            payload = data[self._read : self._read + size]
            self._read += size
            if opcode == 1:
                found.append(json.loads(payload))
            elif opcode == 2:
                found.append(payload)
            elif opcode == 8:
                found.append(struct.unpack(">H", payload[:2])[0])
            elif opcode == 9:
                found.append("ping")
        return found

    def vanish(self) -> None:
        """Drop the connection, as the firmware ends a talk."""
        if self.transport.connected:
            self.protocol.connectionLost(Failure(ConnectionDone()))
            self.transport.connected = False
