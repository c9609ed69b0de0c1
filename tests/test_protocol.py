"""A device's WebSocket, from the handshake to the last byte."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import Table, packets, silence, tone
from tests.websocket import Peer, factory, set_clock
from xiaozhi.factory import Doors
from xiaozhi.limits import Crowd
from xiaozhi.services.devices import Devices
from xiaozhi.services.sparing import EACH
from xiaozhi.wire import encode_binary

HELLO = {
    "type": "hello",
    "version": 1,
    "features": {"glyph_push": False},
    "transport": "websocket",
    "audio_params": {"format": "opus", "sample_rate": 16000, "channels": 1, "frame_duration": 60},
}


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Table()
        self.clock: Clock = self.table.clock
        self.devices = Devices()
        self.addCleanup(set_clock, set_clock(self.clock))

    def peer(self, other: Peer | None = None, address: str = "192.168.1.9", **house: Any) -> Peer:
        """Connect a device, to the server of an `other` if there is one."""
        made = other.factory if other else factory(self.table, devices=self.devices, **house)
        peer = Peer(made, address)
        self.addCleanup(peer.vanish)
        return peer

    def greeted(self, **headers: str) -> Peer:
        peer = self.peer()
        self.assertEqual(peer.handshake(**headers), "HTTP/1.1 101 Switching Protocols")
        peer.send(HELLO | ({"version": int(headers["Protocol_Version"])} if headers else {}))
        (self.welcome,) = peer.frames()
        return peer

    def speak(self, peer: Peer, version: int = 1) -> list[object]:
        """Say something; give what came back after the sound of the answer is counted."""
        peer.send({"type": "listen", "state": "start", "mode": "auto"})
        for packet in packets(tone(1.2) + silence(1.2)):
            peer.send(encode_binary(packet, version))
            self.table.pass_time(0.06)
        self.table.pass_time(5.0)
        return peer.frames()


class Handshake(Case):
    def test_welcome(self) -> None:
        """A hello is answered with one hello that has all any client reads."""
        self.greeted()
        session_id = self.welcome.pop("session_id")
        self.assertRegex(session_id, "^[0-9a-f]{12}$")
        self.assertEqual(
            self.welcome,
            {
                "type": "hello",
                "version": 1,
                "transport": "websocket",
                "audio_params": {
                    "format": "opus",
                    "sample_rate": 16000,
                    "channels": 1,
                    "frame_duration": 60,
                },
            },
        )

    def test_exactly_one(self) -> None:
        """A second hello gets no second answer: it would poison the firmware's next talk."""
        peer = self.greeted()
        peer.send(HELLO)
        peer.send({"type": "ping"})
        self.assertEqual([frame["type"] for frame in peer.frames()], ["pong"])

    def test_nothing_before_hello(self) -> None:
        """The server says nothing before the device has said hello."""
        peer = self.peer()
        peer.handshake()
        peer.send({"type": "listen", "state": "detect", "text": "hello"})
        peer.send({"type": "ping"})
        self.table.pass_time(5)
        self.assertEqual(peer.frames(), [])

    def test_no_hello(self) -> None:
        """Who never says hello is let go."""
        peer = self.peer()
        peer.handshake()
        self.clock.pump([1.0] * 19)
        self.assertEqual(peer.frames(), [])
        self.clock.pump([1.0] * 12)
        self.assertIn(1002, peer.frames())

    def test_minimal_hello(self) -> None:
        """A hello that is no more than its type is enough."""
        peer = self.peer()
        peer.handshake()
        peer.send({"type": "hello"})
        (welcome,) = peer.frames()
        self.assertEqual(welcome["type"], "hello")

    def test_language(self) -> None:
        """The session speaks the language the device asked for at OTA."""
        self.devices.learn("aa:bb", "zh")
        peer = self.peer()
        peer.handshake("/xiaozhi/v1/?device-id=AA%3ABB")
        peer.send(HELLO)
        peer.send({"type": "listen", "state": "detect", "text": "hey jarvis"})
        self.table.pass_time(2.0)
        self.assertIn("我在", self.table.speech.sentences[0][0])

    def test_too_many(self) -> None:
        """Over a limit a connection is refused in the handshake, told when to come again."""
        for crowd, address, reason in (
            (Crowd(1, 10), "192.168.1.10", "full"),
            (Crowd(10, 1), "192.168.1.9", "address"),
        ):
            peer = self.peer(crowd=crowd)
            peer.handshake()
            other = self.peer(peer, address)
            self.assertIn("503", other.handshake())
            self.assertIn(b"\r\nRetry-After: 10\r\n", other.transport.value())
            counters = peer.factory.counters
            self.assertEqual(counters.value("connections_refused", reason=reason), 1)
            peer.vanish()
            third = self.peer(peer, address)
            self.assertIn("101", third.handshake())
            third.vanish()
            self.assertEqual((crowd.total, crowd.addresses), (0, 0))

    def test_closed(self) -> None:
        """Who comes while the server stops is told to come again; many are not many lines."""
        crowd = Crowd(10, 10, closed=True)
        peer = self.peer(crowd=crowd)
        with capturedLogs() as events:
            self.assertIn("503", peer.handshake("/xiaozhi/v1/?device-id=aa"))
            for _ in range(EACH + 5):
                self.peer(peer, "192.168.1.9").handshake()
        lines = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(lines[0], "refused aa from 192.168.1.9: the server is stopping")
        self.assertEqual(len(lines), EACH)
        self.assertEqual(crowd.total, 0)

    def test_loopback(self) -> None:
        """A proxy on this machine may speak for many."""
        peer = self.peer(address="127.0.0.1", crowd=Crowd(10, 1))
        self.assertIn("101", peer.handshake())
        self.assertIn("101", self.peer(peer, "127.0.0.1").handshake())

    def test_pings(self) -> None:
        """A device is pinged, but for firmware that breaks on it."""
        for version, pinged in (("1.8.9", False), ("1.9.0", True), ("2.4.2", True), ("", True)):
            self.devices.learn("aa", "", version)
            peer = self.peer()
            peer.handshake("/xiaozhi/v1/?device-id=aa")
            peer.send(HELLO)
            self.clock.pump([1.0] * 21)
            self.assertEqual("ping" in peer.frames(), pinged, version)
            peer.vanish()
            self.clock.advance(2)


class Versions(Case):
    def test_each(self) -> None:
        """Sound is framed both ways as the device declared."""
        for version, header in ((1, b""), (2, b"\0\x02\0\0\0\0\0\0"), (3, b"\0\0\0")):
            peer = self.greeted(Protocol_Version=str(version))
            answer = self.speak(peer, version)
            sounds = [frame for frame in answer if isinstance(frame, bytes)]
            self.assertEqual(len(sounds), 40)
            for sound in sounds:
                self.assertTrue(sound.startswith(header))
            self.assertEqual(answer[-1]["state"], "stop")  # type: ignore[index]
            peer.vanish()


class Behaviour(Case):
    def test_vanishing(self) -> None:
        """A device that drops the connection at any moment leaves nothing behind."""
        for seconds in (0.0, 1.0, 2.3, 3.0):
            peer = self.greeted()
            peer.send({"type": "listen", "state": "start", "mode": "auto"})
            for packet in packets((tone(1.2) + silence(3.0))[: int(seconds * 32000)]):
                peer.send(packet)
                self.table.pass_time(0.06)
            peer.vanish()
            self.assertEqual(peer.factory.sessions, set())
            self.clock.advance(3)  # Autobahn's own timers end by themselves
            self.table.session.close()

    def test_malformed(self) -> None:
        """Malformed messages are ignored; ten in a row are no accident."""
        peer = self.greeted()
        for _ in range(9):
            peer.send_text(b"{oops")
        peer.send({"type": "ping"})
        for _ in range(9):
            peer.send_text(b"\xff\xfe")
        self.assertEqual([frame["type"] for frame in peer.frames()], ["pong"])
        peer.send([])
        self.assertEqual(peer.frames(), [1002])

    def test_flood(self) -> None:
        """A burst of five seconds passes; who goes on beyond the rate is let go."""
        peer = self.greeted()
        for _ in range(998):
            peer.send(b"")
        peer.send({"type": "ping"})
        self.assertEqual([frame["type"] for frame in peer.frames()], ["pong"])
        peer.send(b"")
        self.assertEqual(peer.frames(), [1008])
        peer.vanish()
        self.assertEqual(peer.factory.counters.value("connections_ended", code="1008"), 1)

    def test_flood_of_pings(self) -> None:
        """Pings count as messages."""
        peer = self.greeted()
        for _ in range(1000):
            peer.ping()
        self.assertEqual(peer.frames()[-1], 1008)

    def test_ordinary_oddities(self) -> None:
        """Empty frames, odd packets, text that is not UTF-8: all ordinary."""
        peer = self.greeted()
        for payload in (b"", b"\xf8", b"\xf8\xff\xfe", b"\x00" * 1500):
            peer.send(payload)
        peer.send_text(b'{"type":"mcp","payload":{"ssid":"\xff"}}')
        peer.send_text(b'{"type":"goodbye"}')
        peer.send(7)
        self.assertEqual(peer.frames(), [7])

    def test_too_big(self) -> None:
        """A message longer than any device sends closes the connection with 1009."""
        peer = self.greeted()
        peer.send(b"x" * 65537)
        self.assertEqual(peer.frames(), [1009])

    def test_our_fault(self) -> None:
        """A fault of ours closes this one connection with 1011, and is logged."""
        peer = self.greeted()
        self.patch(peer.protocol.visit, "receive", lambda message: 1 / 0)
        peer.send({"type": "ping"})
        self.assertEqual(peer.frames(), [1011])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stop(self) -> None:
        """When the server stops, each device is told, and waited for, but not for ever."""
        peer = self.greeted()
        doors = Doors(peer.factory, self.clock)
        doors.startService()
        stopping = doors.stopService()
        self.assertEqual(peer.frames(), [1001])
        self.assertNoResult(stopping)
        peer.vanish()
        self.successResultOf(stopping)

    def test_drain(self) -> None:
        """Who waits for an answer hears it first; then the device is told."""
        peer = self.greeted()
        peer.send({"type": "listen", "state": "detect", "text": "how are you"})
        doors = Doors(peer.factory, self.clock)
        doors.startService()
        drained = doors.drain(30)
        self.table.pass_time(5.0)
        *answer, code = peer.frames()
        self.assertEqual((answer[-1]["state"], code), ("stop", 1001))
        self.successResultOf(drained)
        doors.stopService()

    def test_drain_idle(self) -> None:
        """Who waits for nothing is told at once."""
        peer = self.greeted()
        doors = Doors(peer.factory, self.clock)
        doors.startService()
        doors.drain(30)
        self.assertEqual(peer.frames(), [1001])
        doors.stopService()

    def test_drain_ends(self) -> None:
        """An answer without end is not waited for."""
        peer = self.greeted()
        peer.send({"type": "listen", "state": "detect", "text": "how are you"})
        doors = Doors(peer.factory, self.clock)
        doors.startService()
        drained = doors.drain(0.2)
        self.table.pass_time(0.3)
        self.successResultOf(drained)
        doors.stopService()
        self.assertEqual(peer.frames()[-1], 1001)

    def test_stop_with_a_dead_device(self) -> None:
        """A device that does not answer the goodbye does not keep the server."""
        peer = self.greeted()
        doors = Doors(peer.factory, self.clock)
        doors.startService()
        stopping = doors.stopService()
        self.clock.pump([0.1] * 25)
        self.successResultOf(stopping)
