"""A device's connection from its hello to its end."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.calendar import FakeCalendar
from tests.fakes import Table
from tests.scenes import Steps, call
from tests.test_protocol import HELLO
from tests.websocket import FakeStore, Peer, factory, set_clock
from xiaozhi.device.mcp import Server
from xiaozhi.errors import ServiceError
from xiaozhi.factory import DeviceFactory
from xiaozhi.manners import Manners
from xiaozhi.messages import Obeyed, Order
from xiaozhi.services.reminders import Reminders
from xiaozhi.services.store.records import Entry, Reminder, SessionMemory
from xiaozhi.services.web.address import Arrival, seen
from xiaozhi.session import Session

BADGE = HELLO | {"features": {"badge": True}}
PATH = "/xiaozhi/v1/?device-id=AA%3A01"
FAILED = "设备注册失败"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Table()
        self.clock: Clock = self.table.clock
        self.store = FakeStore()
        self.memories: list[SessionMemory] = []
        self.addCleanup(set_clock, set_clock(self.clock))
        self.factory = self.serve()

    def serve(self, **house: Any) -> DeviceFactory:
        house.setdefault("remember", self.memories.append)
        return factory(self.table, store=self.store, **house)

    def connect(self, path: str = PATH, hello: object = HELLO) -> Peer:
        """Connect a device that says hello; its welcome is read."""
        peer = Peer(self.factory)
        self.addCleanup(peer.vanish)
        self.assertIn("101", peer.handshake(path))
        peer.send(hello)
        welcome = peer.frames()[0]
        self.assertEqual(welcome["type"], "hello")
        return peer

    def wait(self, seconds: float, *peers: Peer) -> None:
        """Let time pass in steps of a second, in which devices answer pings."""
        for _ in range(round(seconds)):
            self.clock.advance(1)
            for peer in peers:
                peer.pong()

    def told(self, peer: Peer) -> list[str]:
        """Tell what a device was sent, but for sound, pings and pongs."""
        out = []
        for frame in peer.frames():
            if isinstance(frame, dict) and frame["type"] != "pong":
                words = [frame.get(key) for key in ("type", "state", "event", "action")]
                out.append(" ".join(filter(None, words)))
            elif isinstance(frame, int | str) and frame != "ping":
                out.append(str(frame))
        return out


class Registration(Case):
    def test_known(self) -> None:
        """A device that says hello is noted, with what is known of it."""
        self.connect(PATH + "&client-id=C1")
        record = self.store.known["aa:01"]
        self.assertEqual(
            (record.client_id, record.address, record.last_seen), ("c1", "192.168.1.9", 1000.0)
        )
        self.assertEqual(list(self.factory.presence), ["aa:01"])

    def test_role(self) -> None:
        """A device is talked with in the role its user asked for the last time."""
        began: list[str] = []
        self.patch(Session, "begin_as", lambda session, role: began.append(role))
        self.connect().vanish()
        self.store.known["aa:01"] = msgspec.structs.replace(self.store.known["aa:01"], role="Tom")
        self.connect()
        self.assertEqual(began, ["", "Tom"])

    def refused(self, peer: Peer, code: int, reason: str) -> None:
        self.assertEqual(peer.frames()[-2:], [FAILED, code])
        counters = self.factory.counters
        self.assertEqual(counters.value("registrations_failed", reason=reason), 1)
        self.assertEqual(list(self.factory.presence), [])
        peer.vanish()
        self.clock.advance(2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def open(self) -> Peer:
        peer = Peer(self.factory)
        self.addCleanup(peer.vanish)
        peer.handshake(PATH)
        peer.send(HELLO)
        return peer

    def test_blocked(self) -> None:
        """A device that is blocked is told so, by the very words, and let go."""
        self.store.block("aa:01")
        self.refused(self.open(), 1008, "blocked")

    def test_full(self) -> None:
        """One device too many is let go; those that are known may come."""
        self.factory = self.serve(most=1)
        self.connect("/xiaozhi/v1/?device-id=first").vanish()
        self.connect("/xiaozhi/v1/?device-id=first").vanish()
        self.refused(self.open(), 1013, "max_devices")

    def test_store_fails(self) -> None:
        """A store that fails lets nobody in."""
        self.store.failure = ServiceError("store", "the disk is gone")
        self.refused(self.open(), 1013, "store")

    def test_store_is_dead(self) -> None:
        """The store has two seconds; meanwhile the device is served."""
        self.store.dead = True
        peer = self.connect()
        peer.send({"type": "ping"})
        self.wait(1)
        self.assertEqual([frame["type"] for frame in peer.frames()], ["pong"])
        self.wait(1)
        self.refused(peer, 1013, "store")

    def test_gone_meanwhile(self) -> None:
        """A device that goes before the store has answered leaves nothing behind."""
        self.store.dead = True
        self.connect().vanish()
        self.clock.advance(2)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(list(self.factory.presence), [])

    def test_made_up_names(self) -> None:
        """Nothing is stored of a device that has no name."""
        peer = self.connect("/xiaozhi/v1/")
        peer.send({"type": "listen", "state": "detect", "text": "hello"})
        self.table.pass_time(4)
        peer.vanish()
        self.assertEqual((self.store.asked, self.memories), (0, []))

    def test_sent_away(self) -> None:
        """Who may not stay any longer goes, and whoever has not even said hello."""
        silent, other = Peer(self.factory), Peer(self.factory)
        for peer, path in ((silent, PATH), (other, "/xiaozhi/v1/?device-id=other")):
            self.addCleanup(peer.vanish)
            peer.handshake(path)
        here = self.connect()
        self.factory.presence.send_away("aa:01")
        silent.send(HELLO)
        other.send(HELLO)
        self.assertEqual((silent.frames(), here.frames()), ([1008], [1008]))
        self.assertEqual(len(other.frames()), 1)
        self.assertEqual(list(self.store.known), ["aa:01", "other"])
        self.assertEqual(list(self.factory.presence), ["other"])
        self.assertEqual(self.factory.presence._silent, {})


class Takeover(Case):
    def speaking(self) -> Peer:
        peer = self.connect(hello=BADGE)
        peer.send({"type": "listen", "state": "detect", "text": "hello"})
        self.table.pass_time(0.5)
        peer.frames()
        return peer

    def test_overlap(self) -> None:
        """The newer connection is served at once; the older one may finish its sentence."""
        old = self.speaking()
        new = self.connect()
        new.send({"type": "ping"})
        self.assertEqual([frame["type"] for frame in new.frames()], ["pong"])
        old.send({"type": "listen", "state": "detect", "text": "and what else?"})
        self.table.pass_time(1.45)
        frames = old.frames()
        self.assertEqual(frames[0]["type"], "system")
        self.assertGreater(sum(isinstance(frame, bytes) for frame in frames), 15)
        self.assertEqual(len(self.table.minds.asked), 1)
        self.table.pass_time(0.1)
        self.assertIn(1000, old.frames())
        self.assertIs(self.factory.presence.find("aa:01"), new.protocol.visit)
        self.assertEqual(self.factory.counters.value("takeovers"), 1)

    def test_stock(self) -> None:
        """A stock device is not told in words."""
        old = self.connect()
        self.connect()
        self.wait(2, old)
        self.assertEqual(self.told(old), ["1000"])

    def test_older_goes_last(self) -> None:
        """The end of the older connection takes nothing from the newer one."""
        old = self.connect()
        new = self.connect()
        old.vanish()
        self.assertIs(self.factory.presence.find("aa:01"), new.protocol.visit)
        new.vanish()
        self.assertEqual(list(self.factory.presence), [])

    def test_two_at_most(self) -> None:
        """A third connection ends the second at once; the first still has its moment."""
        first, second = self.speaking(), self.connect()
        third = self.connect()
        self.assertEqual(self.told(second), ["1000"])
        self.assertEqual(self.told(first), ["system", "tts sentence_end", "tts sentence_start"][:1])
        self.wait(2, third)
        self.assertEqual(self.told(first)[-1], "1000")
        self.assertEqual(self.told(third), [])


class Idle(Case):
    def test_farewell(self) -> None:
        """Who says nothing for ten minutes is told goodbye, and the connection closed."""
        peer = self.connect(hello=BADGE)
        self.wait(590, peer)
        self.assertEqual(self.told(peer), ["system"])
        self.wait(9, peer)
        self.assertEqual(self.told(peer), [])
        for _ in range(600):
            self.clock.advance(0.02)
        self.assertEqual(
            self.told(peer),
            [
                *("tts start", "tts sentence_start", "tts sentence_end"),
                *("tts sentence_start", "tts sentence_end", "tts stop", "1000"),
            ],
        )
        self.assertIn("rest", self.table.speech.sentences[0][0])

    def test_stock_is_not_warned(self) -> None:
        """A stock device hears goodbye, and knows no other warning."""
        peer = self.connect()
        self.wait(599, peer)
        self.assertEqual(self.told(peer), [])

    def test_silent_end(self) -> None:
        """Without a farewell the connection is just closed."""
        self.factory = self.serve(manners=Manners(farewell=False))
        peer = self.connect()
        self.wait(600, peer)
        self.assertEqual(self.told(peer), ["1000"])

    def test_a_word_is_enough(self) -> None:
        """Whoever says something has ten minutes again, counted from the answer's end."""
        peer = self.connect()
        self.wait(590, peer)
        peer.send({"type": "listen", "state": "detect", "text": "hello"})
        self.table.pass_time(4)
        self.wait(590, peer)
        self.assertEqual(self.told(peer)[-1], "tts stop")

    def test_no_message(self) -> None:
        """A device that sends nothing is warned, and ten seconds later the connection closed."""
        peer = self.connect()
        peer.protocol.visit._idling.factor = 3.0
        self.wait(661, peer)
        self.assertEqual(self.told(peer), ["system timeout_warning"])
        peer.send({"type": "ping"})
        self.wait(20, peer)
        self.assertEqual(self.told(peer), [])
        self.wait(650, peer)
        self.assertEqual(self.told(peer), ["system timeout_warning", "1000"])

    def test_dialog_of_a_badge(self) -> None:
        """A badge that shows itself as one is not heard any more after 15 s of silence."""
        for hello, more, lapses in (
            (HELLO, [], False),
            (BADGE, [], True),
            (HELLO, [{"type": "ui.ack", "id": "1"}], True),
        ):
            peer = self.connect(hello=hello)
            for message in more:
                peer.send(message)
            peer.send({"type": "listen", "state": "start", "mode": "auto"})
            self.wait(31, peer)
            self.assertEqual(self.told(peer), ["device.control play.tone"] * lapses)
            session = peer.protocol.visit.session
            self.assertEqual(session.state, "idle" if lapses else "listening")
            peer.vanish()
            self.clock.advance(2)

    def test_downlink(self) -> None:
        """A device that was sent nothing for 90 s is sent a pong; pings are no messages."""
        peer = self.connect()
        self.wait(89, peer)
        self.assertEqual(set(peer.frames()), {"ping"})
        self.wait(1, peer)
        self.assertEqual([frame["type"] for frame in peer.frames() if frame != "ping"], ["pong"])


class Tools(Case):
    """What the device can do."""

    def ready(self, **hello: Any) -> Peer:
        """Connect a device that can be asked; what it was asked is left to read."""
        peer = Peer(self.factory)
        self.addCleanup(peer.vanish)
        peer.handshake(PATH)
        peer.send(HELLO | {"features": {"mcp": True}} | hello)
        return peer

    def asked(self, peer: Peer) -> list[Any]:
        """Tell what the device was asked since the last time."""
        frames = [frame for frame in peer.frames() if isinstance(frame, dict)]
        return [frame["payload"] for frame in frames if frame["type"] == "mcp"]

    def test_hello(self) -> None:
        """After the hello the device is told where photos go, as it reached the server."""
        told: list[Any] = []

        def photos(device: str, arrival: Arrival) -> dict[str, str]:
            told.append(
                (device, seen(arrival.headers["host"], arrival.host, arrival.port).http("/"))
            )
            return {"url": "http://x/", "token": "t"}

        self.factory = self.serve(vision=photos)
        (request,) = self.asked(self.ready())
        vision = {"url": "http://x/", "token": "t"}
        self.assertEqual(request["params"]["capabilities"], {"vision": vision})
        self.assertEqual(told, [("aa:01", "http://192.168.1.5:12345/")])

    def test_in_turn(self) -> None:
        """The replies of a device reach whoever has asked; a second hello asks nothing."""
        peer = self.ready()
        answer = Server().answer
        for _ in range(3):
            for request in self.asked(peer):
                if (reply := answer(request)) is not None:
                    peer.send({"type": "mcp", "payload": json.loads(str(reply))})
        peer.send(HELLO | {"features": {"mcp": True}})
        self.assertEqual(self.asked(peer), [])
        tools = self.factory.presence.tools("aa:01")
        assert tools is not None
        self.assertEqual(len(tools.tools()), 4)
        self.assertIn("0 messages ignored", peer.protocol.visit.account())

    def at_work(self) -> tuple[Peer, Any]:
        """Connect a device, and have its model call a tool of its; give the call's request."""
        minds: Any = Steps([call("self_get_device_status")], ["It is well."])
        self.table.minds = minds
        peer = self.ready()
        for _ in range(2):
            for request in self.asked(peer):
                if (reply := Server().answer(request)) is not None:
                    peer.send({"type": "mcp", "payload": json.loads(str(reply))})
        peer.send({"type": "listen", "state": "detect", "text": "how is it"})
        self.table.pass_time(1)
        (request,) = self.asked(peer)
        self.assertEqual(request["method"], "tools/call")
        return peer, request

    def test_no_ear(self) -> None:
        """While a device runs its tool it is told nothing, even by a reminder that is due."""
        peer, request = self.at_work()
        voice: Any = peer.protocol.visit.session
        voice._say(voice._turn.number, "Tea is ready.")  # as whatever else speaks meanwhile
        self.table.pass_time(10)
        self.assertEqual(self.told(peer), [])
        reply = Server().answer(request)
        peer.send({"type": "mcp", "payload": json.loads(str(reply))})
        self.table.pass_time(0.1)
        self.assertIn("tts start", self.told(peer))

    def test_broken_into(self) -> None:
        """Whoever breaks into a tool is answered at once: the device is not in it any more."""
        peer, _ = self.at_work()
        peer.send({"type": "listen", "state": "detect", "text": "are you there"})
        self.table.pass_time(1)
        self.assertIn("tts start", self.told(peer))

    def test_gone_at_work(self) -> None:
        """No model is told that a tool has failed since its device has gone."""
        peer, _ = self.at_work()
        peer.vanish()
        self.table.pass_time(1)
        self.assertEqual(len(self.table.minds.asked), 1)
        self.clock.advance(3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_asked(self) -> None:
        """A device that does not say that it can be asked is not."""
        for features in ({}, {"mcp": False}, None):
            peer = self.ready(features=features)
            self.assertEqual(self.asked(peer), [])
            peer.vanish()

    def test_broken_errors(self) -> None:
        """Errors that break the JSON around them are no malformed messages, however many."""
        peer = self.ready()
        head = b'{"session_id":"","type":"mcp","payload":{"jsonrpc":"2.0","id":'
        for number in range(30):
            peer.send_text(head + b'%d,"error":{"message":"a"b"}}}' % number)
        self.wait(1)
        self.assertNotIn(1002, peer.frames())
        self.assertEqual(self.factory.counters.value("messages_malformed"), 0)

    def test_gone(self) -> None:
        """When the device has gone a call fails at once, and nothing is left to be done."""
        peer = self.ready()
        tools = self.factory.presence.tools("aa:01")
        assert tools is not None
        called = Deferred.fromCoroutine(tools.call("self.reboot", {}))
        peer.vanish()
        self.assertIn("has gone", self.failureResultOf(called, ServiceError).getErrorMessage())
        self.assertIsNone(self.factory.presence.tools("aa:01"))
        self.clock.advance(2)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Due(Case):
    """Timers, alarms and reminders."""

    def setUp(self) -> None:
        super().setUp()
        self.calendar = FakeCalendar()
        self.reminders = Reminders(self.calendar, self.clock, self.clock.seconds)
        self.reminders.startService()
        self.addCleanup(self.reminders.stopService)
        self.factory = self.serve(reminders=self.reminders)

    def set(self, seconds: float, device: str = "aa:01", **facts: Any) -> None:
        """Have the device told something after so many seconds."""
        now = self.clock.seconds()
        one = Reminder(
            id="r", device_id=device, kind="timer", due=now + seconds, made_at=now, **facts
        )
        self.successResultOf(Deferred.fromCoroutine(self.reminders.add(one, device == "aa:01")))

    def test_told(self) -> None:
        """A timer is shown, and spoken, and the device's own way of listening goes on."""
        peer = self.connect()
        peer.send({"type": "listen", "state": "start", "mode": "auto"})
        self.set(5)
        self.wait(4, peer)
        self.assertEqual(self.told(peer), [])
        self.clock.advance(1)
        frames = peer.frames()
        (alert,) = (one for one in frames if isinstance(one, dict) and one["type"] == "alert")
        self.assertEqual(alert["message"], "Time is up: your timer of 5 seconds is over.")
        self.assertEqual((alert["status"], alert["emotion"]), ("Timer", "neutral"))
        self.table.pass_time(3)
        self.assertEqual(self.told(peer)[-1], "tts stop")
        self.assertEqual(self.table.speech.sentences[0][0], alert["message"])
        self.assertEqual(peer.protocol.visit.session.state, "listening")

    def test_answered(self) -> None:
        """Who says anything after a timer rang is not told of it when they come again."""
        peer = self.connect()
        self.set(5)
        self.wait(5, peer)
        self.table.pass_time(3)
        self.assertIn("tts stop", self.told(peer))
        self.assertIn("r", self.calendar.kept)
        peer.send({"type": "listen", "state": "detect", "text": "thanks"})
        self.assertEqual(self.calendar.kept, {})

    def test_kept_open(self) -> None:
        """The connection is kept while something is due within the hour, and no longer."""
        peer = self.connect()
        self.set(3900)
        self.wait(600, peer)
        self.assertEqual(self.told(peer), [])
        self.wait(3299, peer)
        self.assertEqual(self.told(peer), [])
        self.set_aside(peer)
        self.set(7200)
        self.wait(570, peer)
        self.table.pass_time(40)
        self.assertIn("1000", self.told(peer))

    def set_aside(self, peer: Peer) -> None:
        """Let it ring, and be answered."""
        self.clock.advance(1)
        self.table.pass_time(3)
        peer.send({"type": "listen", "state": "detect", "text": "thanks"})
        self.table.pass_time(4)
        self.wait(61, peer)
        self.assertEqual(self.told(peer).count("alert"), 1)

    def test_at_the_next_hello(self) -> None:
        """What was due while the device was away is told when it comes again."""
        peer = self.connect()
        self.set(60)
        peer.vanish()
        self.clock.advance(300)
        peer = self.connect()
        self.clock.advance(2)
        frames = (one for one in peer.frames() if isinstance(one, dict))
        (alert,) = (one for one in frames if one["type"] == "alert")
        self.assertIn("was over today at", alert["message"])

    def test_made_up_name(self) -> None:
        """A device without a name is told, too, and nothing of it is stored."""
        peer = self.connect("/xiaozhi/v1/")
        (device,) = self.factory.presence
        self.set(5, device)
        self.assertEqual(self.calendar.kept, {})
        self.wait(5, peer)
        self.assertIn("alert", self.told(peer))

    def test_not_registered(self) -> None:
        """Who may not stay is told nothing."""
        self.calendar.kept["r"] = Reminder(
            id="r", device_id="aa:01", kind="timer", due=0.0, made_at=0.0
        )
        self.store.block("aa:01")
        peer = Peer(self.factory)
        self.addCleanup(peer.vanish)
        peer.handshake(PATH)
        peer.send(HELLO)
        self.clock.advance(3)
        self.assertNotIn("alert", self.told(peer))

    def test_taken_over(self) -> None:
        """The newer connection is the one that is told."""
        first = self.connect()
        self.set(5)
        second = self.connect()
        self.wait(5, second)
        self.assertIn("alert", self.told(second))
        self.assertNotIn("alert", self.told(first))


class End(Case):
    def test_memory(self) -> None:
        """What was said is kept before goodbye is said, as far as it was heard."""
        peer = self.connect()
        peer.send({"type": "listen", "state": "detect", "text": "hello"})
        self.table.pass_time(0.5)
        kept: list[int] = []
        write = peer.transport.write

        def watch(data: bytes) -> None:
            kept.append(len(self.memories))
            write(data)

        self.patch(peer.transport, "write", watch)
        peer.protocol.say_goodbye(1001, "")
        self.assertEqual(kept, [1])
        peer.vanish()
        (memory,) = self.memories
        self.assertEqual((memory.device_id, memory.began), ("aa:01", 1000.0))
        self.assertEqual(memory.entries[0], Entry("user", "hello", 1000.0))
        self.assertRegex(memory.entries[1].text, r"^I.*…$")

    def test_unanswered(self) -> None:
        """A question that was not answered yet is part of what was said."""
        self.table.minds.pieces = (Deferred(),)
        peer = self.connect()
        peer.send({"type": "listen", "state": "detect", "text": "hello"})
        peer.vanish()
        (memory,) = self.memories
        self.assertEqual(memory.entries, (Entry("user", "hello", 1000.0),))

    def test_forgotten(self) -> None:
        """What was to be forgotten meanwhile is not kept, and what was said before is."""
        for seconds, about, kept in (
            (5, "", ["hello"]), (None, "", []), (None, "secrets", ["hello"])
        ):  # fmt: skip
            peer = self.connect()
            for text in ("hello", "my secret"):
                peer.send({"type": "listen", "state": "detect", "text": text})
                self.table.pass_time(9)
            self.factory.presence.forget("aa:02", None)
            self.factory.presence.forget("aa:01", seconds and seconds + 9, about)
            peer.vanish()
            said = [entry for memory in self.memories for entry in memory.entries]
            self.memories.clear()
            self.assertEqual([entry.text for entry in said if entry.role == "user"], kept)

    def test_devices_goodbye(self) -> None:
        """A device that says goodbye is answered when all is kept."""
        peer = self.connect()
        peer.send({"type": "listen", "state": "detect", "text": "hello"})
        self.table.pass_time(1)
        peer.close()
        self.assertEqual(len(self.memories), 1)

    def test_nothing_said(self) -> None:
        """A connection on which nothing was said is not remembered."""
        self.connect().vanish()
        self.assertEqual(self.memories, [])

    def test_any_moment(self) -> None:
        """A close is complete whatever is under way: no timer, no route, no session is left."""
        for pieces, state, seconds in (
            ((Deferred(),), "thinking", 0.5),
            (("I am fine.",), "speaking", 0.5),
            (("I am fine.",), "listening", 4.0),
        ):
            self.table.minds.pieces = pieces
            peer = self.connect()
            peer.send({"type": "listen", "state": "detect", "text": "hello"})
            self.table.pass_time(seconds)
            self.assertEqual(peer.protocol.visit.session.state, state)
            peer.vanish()
            self.assertEqual((list(self.factory.presence), self.factory.sessions), ([], set()))
            self.clock.advance(3)  # Autobahn's own timers end by themselves
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_small_messages(self) -> None:
        """Heartbeats and bare integers are answered, others are ignored and counted."""
        peer = self.connect()
        for message in ({"type": "ping"}, 42, {"type": "mystery"}, {"type": "mcp"}):
            peer.send(message)
        pong, number = peer.frames()
        self.assertEqual((pong["type"], number), ("pong", 42))
        self.assertIn("2 messages ignored", peer.protocol.visit.account())

    def test_orders(self) -> None:
        """An operator's orders are answered, and a pushed configuration that changes nothing."""
        given: list[Order] = []

        def obey(order: Order) -> Deferred[Obeyed]:
            given.append(order)
            return succeed(Obeyed.to(order, message="done"))

        self.factory = self.serve(obey=obey)
        peer = self.connect()
        peer.send({"type": "server", "action": "restart", "content": {"secret": "x"}})
        peer.send({"type": "config_update", "config": {"a": 1}})
        order, update = peer.frames()
        self.assertEqual(given, [Order("restart", "x")])
        self.assertEqual(
            (order["type"], order["status"], order["message"], order["content"]),
            ("server", "success", "done", {"action": "restart"}),
        )
        del update["session_id"]
        self.assertEqual(update, {"type": "config_update", "status": "ok", "noop": True})
