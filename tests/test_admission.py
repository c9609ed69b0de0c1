"""Who is let in, from the first byte of the handshake to the answer."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.fakes import Table
from tests.loopback import Loopback
from tests.services.auth.callers import FakeRegister
from tests.websocket import HANDSHAKE, Peer, Transport, factory, set_clock
from xiaozhi.errors import ServiceError
from xiaozhi.identity import Identity
from xiaozhi.services.auth import Gate
from xiaozhi.services.auth.caller import Way
from xiaozhi.services.auth.devicetokens import DeviceTokens
from xiaozhi.services.auth.lists import Neighbours, StaticTokens
from xiaozhi.services.auth.settings import StaticToken
from xiaozhi.services.counters import Counters
from xiaozhi.services.store import Standing
from xiaozhi.services.web.proxies import Proxies
from xiaozhi.services.web.site import DeviceSocket

TOKEN = "s3cret-s3cret"
SWITCHING = "HTTP/1.1 101 Switching Protocols"
UNAUTHORIZED = "HTTP/1.1 401 Unauthorized"


def gate(clock: Any, *ways: Way, counters: Counters | None = None) -> Gate:
    return Gate(
        ways or [StaticTokens([StaticToken(token=TOKEN)])],
        Proxies(["192.0.2.0/24"]),
        counters or Counters(),
        clock,
        clock.seconds,
    )


class Handshake(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Table()
        self.clock: Clock = self.table.clock
        self.counters = Counters()
        self.register = FakeRegister(slow=[])
        self.tokens = DeviceTokens(b"k" * 32, self.register)
        self.addCleanup(set_clock, set_clock(self.clock))

    def peer(self, *ways: Way, address: Any = None) -> Peer:
        door = gate(self.clock, *ways, counters=self.counters)
        self.addCleanup(door.stopService)
        peer = Peer(factory(self.table, gate=door))
        if address is not None:
            peer.transport = self.rebuilt(peer, address)
        self.addCleanup(peer.vanish)
        return peer

    def rebuilt(self, peer: Peer, address: Any) -> Transport:
        """Let the peer come from another address."""
        peer.vanish()
        transport = Transport(peerAddress=address)
        protocol: Any = peer.factory.buildProtocol(None)
        peer.protocol = transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def waiting(self, device: str = "aa:bb") -> Peer:
        """Let a device ask that is not decided about yet: the store is slow."""
        peer = self.peer(self.tokens)
        token = self.tokens.mint(device, self.clock.seconds())
        answer = peer.handshake(Device_Id=device, Authorization=f"Bearer {token}")
        self.assertEqual(answer, "")
        return peer

    def test_ways_to_show_it(self) -> None:
        """The token comes in the header, with or without Bearer, or in the query."""
        for path, headers in (
            ("/xiaozhi/v1/", {"Authorization": f"Bearer {TOKEN}"}),
            ("/xiaozhi/v1/", {"Authorization": TOKEN}),
            (f"/xiaozhi/v1/?authorization=Bearer%20{TOKEN}&device-id=a", {}),
            (f"/xiaozhi/v1/?authorization={TOKEN}", {}),
        ):
            self.assertEqual(self.peer().handshake(path, **headers), SWITCHING, path)

    def test_refused(self) -> None:
        """A refusal is a 401 without a reason, a line in the log with it, and a count."""
        peer = self.peer()
        with capturedLogs() as events:
            self.assertEqual(
                peer.handshake(Device_Id="AA:BB", Authorization="Bearer nobodys"), UNAUTHORIZED
            )
        self.assertTrue(peer.transport.disconnecting or not peer.transport.connected)
        self.assertNotIn(b"nobodys", peer.transport.value())
        self.assertIn(b"WWW-Authenticate: Bearer", peer.transport.value())
        ours = [formatEvent(e) for e in events if e["log_level"].name != "debug"]
        self.assertEqual(ours, ["refused aa:bb from 192.168.1.9: nobody knows its token"])
        self.assertEqual(self.counters.value("connections_refused", reason="bad_token"), 1)
        self.assertEqual(peer.factory.sessions, set())

    def test_secrets_are_not_logged(self) -> None:
        """Whoever shows a token wherever: no event of any level has it in it."""
        with capturedLogs() as events:
            for path, headers in (
                (f"/xiaozhi/v1/?authorization=Bearer%20{TOKEN}", {"Device-Id": "a"}),
                (f"/xiaozhi/v1/?authorization={TOKEN}", {}),
                ("/xiaozhi/v1/", {"Authorization": f"Bearer {TOKEN}"}),
                ("/xiaozhi/v1/", {"Authorization": f"Basic {TOKEN}"}),
            ):
                self.peer().handshake(path, **headers)
        told = [event for event in events if event["log_namespace"].startswith("xiaozhi")]
        self.assertGreater(len(told), 3)
        self.assertNotIn(TOKEN, repr(told) + "".join(map(formatEvent, told)))

    def test_source_is_logged(self) -> None:
        """The log says where the id comes from; one that is made up is a warning."""
        auth = {"Authorization": TOKEN}
        for path, headers, source in (
            ("/xiaozhi/v1/?device-id=AA%3ABB", {}, "id from query"),
            ("/xiaozhi/v1/", {"Device_Id": "AA:BB"}, "id from header"),
            ("/xiaozhi/v1/", {"Client_Id": "AA:BB"}, "id from client"),
        ):
            with capturedLogs() as events:
                self.peer().handshake(path, **headers, **auth)
            lines = [formatEvent(event) for event in events]
            self.assertIn(f"aa:bb connected from 192.168.1.9 to {path} ({source}", str(lines))
            self.assertNotIn("warn", [event["log_level"].name for event in events])
        with capturedLogs() as events:
            self.peer().handshake("/xiaozhi/v1/?x=1", **auth)
        (warning,) = [formatEvent(e) for e in events if e["log_level"].name == "warn"]
        self.assertIn("names no device, so nothing is kept for it; its headers: host upgr", warning)
        self.assertRegex(str([formatEvent(e) for e in events]), "auto-[0-9a-f]{8} connected")
        with capturedLogs() as events:
            self.peer().handshake("/xiaozhi/v1/")
        (line,) = [formatEvent(e) for e in events if e["log_level"].name == "warn"]
        self.assertIn("it shows no token", line)  # who is not let in may not write two

    def test_off(self) -> None:
        """With auth off, neighbours are served, and others get a 401."""
        for host, answer in (
            ("::ffff:192.168.1.9", SWITCHING),
            ("fe80::1", SWITCHING),
            ("::ffff:8.8.8.8", UNAUTHORIZED),
            ("2001:db8::1", UNAUTHORIZED),
        ):
            peer = self.peer(Neighbours(), address=IPv6Address("TCP", host, 40000))
            self.assertEqual(peer.handshake(), answer, host)

    def test_behind_a_proxy(self) -> None:
        """The address counts that a configured proxy tells, and no other's word does."""
        for proxy, told, answer in (
            ("192.0.2.1", "192.168.1.7", SWITCHING),
            ("192.0.2.1", "127.0.0.1, 8.8.8.8", UNAUTHORIZED),
            ("8.8.8.8", "127.0.0.1", UNAUTHORIZED),
            ("127.0.0.1", "8.8.8.8", UNAUTHORIZED),
        ):
            address = IPv6Address("TCP", f"::ffff:{proxy}", 40000)
            peer = self.peer(Neighbours(), address=address)
            self.assertEqual(peer.handshake(X_Forwarded_For=told), answer, (proxy, told))

    def test_behind_a_strange_proxy(self) -> None:
        """Behind a proxy nobody has named, a header the client adds hides not where it is."""
        peer = self.peer(Neighbours())
        answer = peer.handshake(X_Forwarded_For="10.0.0.1", X_Real_IP="8.8.8.8")
        self.assertEqual(answer, UNAUTHORIZED)

    def test_decided_later(self) -> None:
        """The handshake waits for the decision, whichever it is."""
        for standing, answer in (
            (Standing(), SWITCHING),
            (Standing(not_before=9e9), UNAUTHORIZED),
        ):
            peer = self.waiting()
            assert self.register.slow is not None
            self.register.slow.pop().callback(standing)
            self.assertTrue(peer.transport.value().startswith(answer.encode()))

    def test_stopping_meanwhile(self) -> None:
        """Who is admitted when the server has begun to stop is told to come again."""
        peer = self.waiting()
        peer.factory.crowd.closed = True
        assert self.register.slow is not None
        self.register.slow.pop().callback(Standing())
        self.assertIn(b" 503 ", peer.transport.value().partition(b"\r\n")[0])

    def test_the_store_fails(self) -> None:
        """It fails closed."""
        peer = self.waiting()
        assert self.register.slow is not None
        self.register.slow.pop().errback(ServiceError("store", "gone"))
        self.assertTrue(peer.transport.value().startswith(UNAUTHORIZED.encode()))
        self.assertEqual(self.counters.value("connections_refused", reason="failure"), 1)

    def test_never_decided(self) -> None:
        """After five seconds it is refused."""
        peer = self.waiting()
        self.clock.advance(5.1)
        self.assertTrue(peer.transport.value().startswith(UNAUTHORIZED.encode()))
        self.assertEqual(peer.factory.sessions, set())

    def test_gone_meanwhile(self) -> None:
        """Who is gone before it is decided leaves nothing behind, however it ends."""
        for outcome in (Standing(), ServiceError("store", "gone")):
            before = set(self.clock.getDelayedCalls())
            peer = self.waiting()
            assert self.register.slow is not None
            asked = self.register.slow.pop()
            peer.vanish()
            self.assertTrue(asked.called, "the question is withdrawn")
            if isinstance(outcome, Standing):
                asked.callback(outcome)  # a cancelled Deferred swallows what comes late
            self.assertEqual(peer.factory.sessions, set())
            self.assertIsNone(peer.protocol.visit)
            self.assertEqual(peer.transport.value(), b"")
            left: list[Any] = [c for c in self.clock.getDelayedCalls() if c not in before]
            # Autobahn's own timers end by themselves.
            theirs = ("txaio", "autobahn")
            ours = [call for call in left if not call.func.__module__.startswith(theirs)]
            self.assertEqual(ours, [])
            self.clock.advance(11)
            self.assertEqual(self.counters.value("connections_refused", reason="failure"), 0)

    def test_dropped_meanwhile(self) -> None:
        """Who took too long to ask is refused, even if it is admitted before TCP says goodbye."""
        peer = self.peer(self.tokens)
        self.patch(peer.transport, "loseConnection", lambda: None)
        self.clock.advance(6)
        token = self.tokens.mint("aa:bb", self.clock.seconds())
        peer.handshake(Device_Id="aa:bb", Authorization=token)
        self.clock.pump([0.5] * 9)
        assert self.register.slow is not None
        self.register.slow.pop().callback(Standing())
        self.assertTrue(peer.transport.value().startswith(b"HTTP/1.1 408 Request Timeout\r\n"))
        self.assertNotIn(SWITCHING.encode(), peer.transport.value())
        self.assertEqual(peer.factory.sessions, set())

    def test_too_slow(self) -> None:
        """A handshake that is not over within ten seconds is refused and counted, once."""
        peer, late = self.peer(), {"reason": "slow_handshake"}
        self.clock.pump([0.5] * 18)
        self.assertEqual((peer.transport.value(), peer.transport.connected), (b"", True))
        with capturedLogs() as events:
            self.clock.pump([0.5] * 5)
        self.assertTrue(peer.transport.value().startswith(b"HTTP/1.1 408 Request Timeout\r\n"))
        self.assertFalse(peer.transport.connected)
        self.assertEqual(peer.factory.counters.value("connections_refused", **late), 1)
        self.assertEqual([e for e in events if e["log_level"].name == "warn"], [])
        in_time = self.peer()
        in_time.handshake(Authorization=TOKEN)
        self.clock.pump([0.5] * 30)
        self.assertEqual(in_time.factory.counters.value("connections_refused", **late), 0)

    def test_a_second_request(self) -> None:
        """A second request while the first is decided does not get in by the first one's right."""
        peer = self.waiting("aa:bb")
        lines = ["GET /xiaozhi/v1/?device-id=victim HTTP/1.1"]
        lines += [f"{name}: {text}" for name, text in HANDSHAKE.items()]
        peer.protocol.dataReceived("\r\n".join([*lines, "", ""]).encode())
        self.assertTrue(peer.transport.value().startswith(b"HTTP/1.1 400"))
        assert self.register.slow is not None
        self.assertTrue(self.register.slow.pop().called, "the first is withdrawn, too")
        self.assertEqual(peer.factory.sessions, set())

    def test_impatient(self) -> None:
        """Bytes that come early wait, but not without end."""
        peer = self.waiting()
        peer.send({"type": "hello"})
        assert self.register.slow is not None
        self.register.slow.pop().callback(Standing())
        self.assertIn(b'"type":"hello"', peer.transport.value())
        flood = self.waiting()
        for _ in range(70):
            if flood.transport.connected:
                flood.protocol.dataReceived(b"x" * 1000)
        self.assertFalse(flood.transport.connected)
        self.assertLess(len(flood.protocol.data), 70_000)

    def test_our_fault(self) -> None:
        """A fault of ours is a 500 without details, logged, and lets nobody in."""

        class Broken:
            def judge(self, caller: object, now: float) -> None:
                raise ZeroDivisionError("with details")

        peer = self.peer(Broken())
        self.assertEqual(peer.handshake(), "HTTP/1.1 500 Internal Server Error")
        self.assertNotIn(b"details", peer.transport.value())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_ids_are_the_same_everywhere(self) -> None:
        """An id that is not ASCII is read from a header as OTA reads it."""
        peer = self.peer(Neighbours())
        lines = ["GET / HTTP/1.1", "Device-Id: Ä1"]
        lines += [f"{name}: {text}" for name, text in HANDSHAKE.items()]
        peer.protocol.dataReceived("\r\n".join([*lines, "", ""]).encode())
        self.assertEqual(peer.protocol._approach.caller.identity, Identity("ä1", "ä1", "header"))


class _Line(Protocol):
    """Sends a request, and collects the answer until the server closes."""

    def __init__(self, request: bytes, ended: Deferred[bytes]) -> None:
        self._request = request
        self._ended = ended
        self._data = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if data.startswith(b"HTTP/1.1 101"):
            assert self.transport is not None
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self._ended.callback(self._data)


class OverTcp(TestCase):
    """Through the real site, on a real port."""

    timeout = 20

    async def ask(self, server: Loopback, **headers: str) -> bytes:
        fields = HANDSHAKE | {name.replace("_", "-"): text for name, text in headers.items()}
        lines = ["GET / HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
        ended: Deferred[bytes] = Deferred()
        line = _Line("\r\n".join([*lines, "", ""]).encode(), ended)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", server.port), line)
        return await ended

    async def test_statuses(self) -> None:
        """The device sees 101 or 401, and the server closes the refused connection."""
        self.addCleanup(set_clock, set_clock(reactor))
        serving = factory(Table(), gate=gate(reactor))
        serving.clock = reactor
        serving.startFactory()
        self.addCleanup(serving.stopFactory)
        self.addCleanup(serving.gate.stopService)
        server = Loopback(DeviceSocket(serving))
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        refused = await self.ask(server, Device_Id="aa:bb", Authorization="Bearer nobodys")
        self.assertTrue(refused.startswith(b"HTTP/1.1 401 Unauthorized\r\n"))
        admitted = await self.ask(server, Device_Id="aa:bb", Authorization=f"Bearer {TOKEN}")
        self.assertTrue(admitted.startswith(b"HTTP/1.1 101"))
