"""Requests that come byte by byte."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.services.open_house import nobody
from tests.services.web.test_ota import NOW
from tests.websocket import Transport
from xiaozhi.services.devices import Devices
from xiaozhi.services.web.bounded import PATIENCE
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.site import site


class Deaf(Transport):
    """A peer that does not hang up by itself."""

    aborted = False

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborted = True


class Slow(SynchronousTestCase):
    def setUp(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.clock = Clock()
        self.refused: list[str] = []
        served = site(
            WebSocketServerFactory(), Offer(None, 1, lambda: NOW), Devices(), nobody(),
            refused=self.refused.append,
        )  # fmt: skip
        self.protocol: Any = served.buildProtocol(None)
        self.transport = Deaf()
        self.protocol.callLater = self.clock.callLater
        self.protocol.makeConnection(self.transport)

    def test_drops(self) -> None:
        """Who sends a request drop by drop has ten seconds, wherever in it that is."""
        for begun in (b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n"):
            self.connect()
            self.protocol.dataReceived(begun)
            for _ in range(round(PATIENCE) - 1):
                self.protocol.dataReceived(b"a")
                self.clock.advance(1)
            self.assertEqual((self.transport.value(), self.transport.disconnecting), (b"", False))
            self.clock.advance(2)
            self.assertIn(b"408 Request Timeout", self.transport.value(), begun)
            self.assertTrue(self.transport.disconnecting, begun)
            self.assertEqual(self.refused, ["slow_request"])
            self.clock.advance(15)
            self.assertTrue(self.transport.aborted, begun)

    def test_whole(self) -> None:
        """Requests that are whole are answered, one after the other, and no time is kept."""
        for _ in range(3):
            self.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n")
            self.clock.advance(PATIENCE - 1)
            self.protocol.dataReceived(b"\r\n")
            self.assertIn(b"200 OK", self.transport.value())
            self.transport.clear()
            self.clock.advance(PATIENCE + 1)
        self.assertFalse(self.transport.disconnecting)
        self.assertEqual(self.refused, [])

    def test_large(self) -> None:
        """What is too long is refused once, however much more of it comes."""
        self.protocol.dataReceived(b"POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n")
        for _ in range(7):
            self.protocol.dataReceived(b"a" * 10000)
        self.assertIn(b"413 Payload Too Large", self.transport.value())
        self.assertEqual(self.refused, ["large_request"])

    def test_hung_up(self) -> None:
        """Who hangs up in the middle leaves nothing behind."""
        self.protocol.dataReceived(b"GET / HT")
        self.protocol.connectionLost(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Crowded(SynchronousTestCase):
    def setUp(self) -> None:
        self.refused: list[str] = []
        factory = WebSocketServerFactory()
        factory.protocol = WebSocketServerProtocol
        factory.setProtocolOptions(openHandshakeTimeout=0)
        self.site = site(
            factory, Offer(None, 1, lambda: NOW), Devices(), nobody(),
            most=2, refused=self.refused.append,
        )  # fmt: skip

    def connect(self) -> Any:
        protocol: Any = self.site.buildProtocol(None)
        protocol.callLater = Clock().callLater
        transport = Deaf()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol

    def test_too_many(self) -> None:
        """One too many is told to come again; who leaves makes room."""
        first, _ = self.connect(), self.connect()
        third = self.connect()
        self.assertIn(b"503 Service Unavailable", third.transport.value())
        self.assertTrue(third.transport.disconnecting)
        self.assertEqual(self.refused, ["pages"])
        third.connectionLost(Failure(ConnectionDone()))
        first.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.connect().transport.value(), b"")

    def test_upgraded(self) -> None:
        """A WebSocket takes no place here: they are counted elsewhere."""
        for _ in range(5):
            channel = self.connect()
            channel.dataReceived(
                b"GET /xiaozhi/v1/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            self.assertIsNone(channel.transport)
        self.assertEqual(self.refused, [])
