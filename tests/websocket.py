"""A WebSocket client in memory: bytes into the server's protocol, frames out, no time passing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import txaio
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure

from tests.fakes import LoudDetector, Table
from xiaozhi.endpointing import Limits
from xiaozhi.errors import ServiceError
from xiaozhi.factory import DeviceFactory, House
from xiaozhi.limits import Crowd
from xiaozhi.manners import Manners
from xiaozhi.presence import Presence
from xiaozhi.services.auth import Gate
from xiaozhi.services.auth.lists import Neighbours
from xiaozhi.services.counters import Counters
from xiaozhi.services.devices import Devices
from xiaozhi.services.store.records import DeviceRecord, Full, Seen, SessionMemory
from xiaozhi.services.web.address import Arrival
from xiaozhi.services.web.proxies import Proxies
from xiaozhi.visit import Terms

T = TypeVar("T")


class FakeStore:
    """Knows devices, blocked or not; answers at once, by an error, or not at all."""

    patience = 2.0

    def __init__(self) -> None:
        self.known: dict[str, DeviceRecord] = {}
        self.memories: dict[str, SessionMemory] = {}
        self.failure: ServiceError | None = None
        self.dead = False
        self.asked = 0

    def _answer(self, value: T) -> Deferred[T]:
        self.asked += 1
        if self.dead:
            return Deferred()
        return fail(self.failure) if self.failure is not None else succeed(value)

    def block(self, device: str) -> None:
        self.known[device] = DeviceRecord(id=device, blocked=True, first_seen=0, last_seen=0)

    def came(self, device: Seen, now: float, most: int | None) -> Deferred[DeviceRecord]:
        before = self.known.get(device.id)
        if before is None and most is not None and len(self.known) >= most:
            self.asked += 1
            return fail(Full("store", "there are enough devices"))
        told = msgspec.structs.asdict(device)
        record = DeviceRecord(**told, first_seen=now, last_seen=now)
        if before is not None:
            record = msgspec.structs.replace(record, blocked=before.blocked, role=before.role)
        self.known[device.id] = record
        return self._answer(record)

    def keep_role(self, device: str, role: str) -> Deferred[bool]:
        if not self.failure:
            self.known[device] = msgspec.structs.replace(self.known[device], role=role)
        return self._answer(True)

    def remember(self, memory: SessionMemory) -> Deferred[None]:
        if not (self.dead or self.failure):
            self.memories[memory.session_id] = memory
        return self._answer(None)


def factory(
    table: Table,
    *,
    store: FakeStore | None = None,
    devices: Devices | None = None,
    crowd: Crowd | None = None,
    gate: Gate | None = None,
    manners: Manners | None = None,
    most: int = 10,
    vision: Callable[[str, Arrival], Mapping[str, str]] | None = None,
    **terms: Any,
) -> DeviceFactory:
    """Make a factory whose sessions are as the one at `table`."""
    counters = Counters()
    clock = table.clock
    presence = Presence(store, most, counters, clock, clock.seconds)
    house = House(
        table.session._staff,
        LoudDetector(),
        Limits(),
        manners or Manners(wakeup_words=("hey jarvis",)),
        devices or Devices(),
        Terms(presence, counters, clock.seconds, **terms),
        **({"vision": vision} if vision else {}),
    )
    if gate is None:  # the usual one: neighbours may come in
        gate = Gate([Neighbours()], Proxies(), counters, clock, clock.seconds)
    return DeviceFactory(house, gate, clock, crowd or Crowd(10, 10))


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


def masked(opcode: int, payload: bytes) -> bytes:
    """Write a frame as a client does, with a mask that changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


def request(path: str, **headers: str) -> bytes:
    """Write the request for an upgrade."""
    fields = HANDSHAKE | {name.replace("_", "-"): text for name, text in headers.items()}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Peer:
    """One device at the other end of a connection."""

    def __init__(self, factory: Any, address: str = "192.168.1.9") -> None:
        # Autobahn's own timers follow txaio, not the factory.
        set_clock(factory.clock)
        self.factory = factory
        self.transport = Transport(peerAddress=IPv4Address("TCP", address, 40000))
        protocol: Any = self.factory.buildProtocol(None)
        self.protocol = self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        self._read = 0

    def handshake(self, path: str = "/xiaozhi/v1/", **headers: str) -> str:
        """Ask for the upgrade; give the status line of the answer."""
        self.protocol.dataReceived(request(path, **headers))
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

    def ping(self) -> None:
        """Ask whether the server is there."""
        self._frame(9, b"")

    def pong(self) -> None:
        """Answer a ping, if one came."""
        if self.transport.connected and self.protocol.autoPingPending:
            self._frame(10, self.protocol.autoPingPending)

    def close(self) -> None:
        """Say goodbye."""
        self._frame(8, struct.pack(">H", 1000))

    def _frame(self, opcode: int, payload: bytes) -> None:
        self.protocol.dataReceived(masked(opcode, payload))

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
            if opcode == 1 and payload[:1] in b"{0123456789":
                found.append(json.loads(payload))
            elif opcode == 1:
                found.append(payload.decode())
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
