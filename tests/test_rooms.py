"""The house as the settings want it, furnished anew while it is in use."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import attrs
from twisted.application.service import MultiService, Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from tests.configuring import FileTestCase
from tests.fakes import Here
from tests.services.auth.test_jwt import CURVE, EDWARDS, pem
from tests.websocket import FakeStore
from xiaozhi.engines import Engines
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.factory import AT_ONCE
from xiaozhi.identity import Identity
from xiaozhi.limits import Crowd
from xiaozhi.messages import AudioParams, Obeyed, Order
from xiaozhi.presence import Presence
from xiaozhi.rooms import Prepared, Rooms, Walls
from xiaozhi.services import engine
from xiaozhi.services.counters import Counters
from xiaozhi.services.devices import Devices
from xiaozhi.services.logs import Log
from xiaozhi.services.logs.lines import Lines
from xiaozhi.services.networks import parse
from xiaozhi.services.reminders import Reminders
from xiaozhi.services.store.records import Seen
from xiaozhi.services.web.health import Alive
from xiaozhi.staffing import SETTLING
from xiaozhi.upkeep import Log as LogSettings

FIRST = "asr: [{use: whisper, model: a}, pocketsphinx]\n"


class FakeEngine(Service):
    """Notes its life."""

    languages: Collection[str] = ("*",)
    tools = ()

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.starts = 0
        self.loading: Deferred[None] = succeed(None)

    def startService(self) -> None:
        super().startService()
        self.starts += 1

    def settled(self) -> Deferred[None]:
        return self.loading

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        if sentence:
            raise ServiceError("tts", "mute")
        yield b""


class Reading(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.absent: set[str] = set()
        self.patch(engine, "make", self.make)
        self.patch(Engines, "workers", lambda engines, kind: Here())
        self.server = MultiService()
        self.counters = Counters()
        store: Any = FakeStore()
        place = Path(self.folder)
        engines = Engines(self.server, "en", place, self.clock, self.counters, 2)
        self.config = self.load(FIRST)
        self.lines: list[str] = []
        self.walls = Walls(
            store,
            Presence(store, 9, self.counters, self.clock, self.clock.seconds),
            lambda memory: None,
            self.obey,
            Crowd(9, 9),
            Devices(),
            {"healthz": Alive([])},
            Log(Lines(LogSettings()), self),
            Reminders(store, self.clock, self.clock.seconds),
        )
        self.rooms = Rooms(self.walls, engines, self.config, lambda: self.config)
        self.server.startService()
        self.addCleanup(self.server.stopService)

    def make(self, kind: str, name: str, settings: Any, workshop: Any) -> FakeEngine:
        if name in self.absent:
            raise Unavailable("not installed")
        return FakeEngine(settings)

    def obey(self, order: Order) -> Deferred[Obeyed]:
        return succeed(Obeyed.to(order))

    lost = 0

    def write(self, line: str) -> None:
        self.lines.append(line)

    def read(self, text: str) -> Prepared:
        self.config = self.load(text)
        return self.rooms.read()

    def apply(self, text: str) -> Sequence[str]:
        return self.successResultOf(Deferred.fromCoroutine(self.rooms.apply(self.read(text))))

    def recognisers(self) -> list[Any]:
        return [member.engine for member in self.rooms.staffing.recognition.members]

    def test_role(self) -> None:
        """The role a user asks for is kept in the store; if that fails, for the talk only."""
        store: Any = self.walls.store
        store.came(Seen(id="d1"), 1.0, 9)
        keep = self.rooms._house().staff.talk.keep_role
        keep("d1", "Teacher")
        store.failure = ServiceError("store", "locked")
        keep("d1", "")
        self.assertEqual((store.known["d1"].role, store.asked), ("Teacher", 3))

    def test_unchanged(self) -> None:
        """What did not change is the same, and was never stopped."""
        before = self.recognisers()
        prompts, gate = self.rooms.staffing._prompts, self.rooms.factory.gate
        self.assertEqual(self.apply(FIRST), [])
        self.assertEqual(self.recognisers(), before)
        self.assertEqual([one.starts for one in before], [1, 1])
        self.assertIs(self.rooms.staffing._prompts, prompts)
        self.assertIs(self.rooms.factory.gate, gate)

    def test_changed(self) -> None:
        """An engine whose settings changed is another; the others stay, in the new order."""
        first, second = self.recognisers()
        self.assertEqual(
            self.apply("asr: [{use: whisper, model: b}, pocketsphinx]"), ["asr.whisper.model"]
        )
        changed, same = self.recognisers()
        self.assertIs(same, second)
        self.assertEqual((changed.settings.model, changed.running, first.running), ("b", 1, 0))
        self.assertEqual(self.apply("asr: [pocketsphinx]"), ["asr"])
        self.assertEqual((self.recognisers(), changed.running), ([same], 0))

    def test_waiting(self) -> None:
        """What waits for a restart is told until then, or until it is taken back."""
        port = FIRST + "server: {port: 1}\n"
        self.assertEqual(self.apply(port), ["server.port"])
        self.assertEqual(
            self.apply(port + "assistant: {name: J}\n"), ["assistant.name", "server.port"]
        )
        self.assertEqual(self.apply(FIRST), ["assistant.name"])

    def test_loading(self) -> None:
        """The old ones serve while the new ones load, but not for ever."""
        before = self.recognisers()
        made = self.read("asr: [openai]")
        new = made.made.engines["asr"][0][1]
        new.loading = Deferred()
        applying = Deferred.fromCoroutine(self.rooms.apply(made))
        self.assertNoResult(applying)
        self.assertEqual((self.recognisers(), new.running), (before, 1))
        self.clock.advance(SETTLING)
        self.successResultOf(applying)
        self.assertEqual(self.recognisers(), [new])

    def test_lacking(self) -> None:
        """What cannot be had is left out; without a voice detector nothing is changed."""
        self.absent = {"openai"}
        self.assertEqual(self.apply("asr: [openai, pocketsphinx]"), ["asr"])
        self.assertEqual(len(self.recognisers()), 1)
        self.absent = {"webrtc"}
        self.assertRaises(Unavailable, self.read, "vad: {use: webrtc, fast: true}")

    def test_sound(self) -> None:
        """New sessions are promised the new sound; to those there are the promise is kept."""
        promised = self.rooms._house().staff.downlink
        staffing = self.rooms.staffing
        prompts = staffing._prompts
        self.assertEqual(self.apply(FIRST + "audio: {sample_rate: 16000}"), ["audio.sample_rate"])
        self.assertEqual(self.rooms._house().staff.downlink.sample_rate, 16000)
        self.assertEqual(staffing.staff(promised).downlink, promised)
        self.assertEqual((prompts.running, staffing._prompts.running), (0, 1))
        old = staffing.staff(AudioParams("opus", 24000, 1, 60)).voice(None)
        self.assertEqual(old._kept("anything"), ())

    def test_staffed_together(self) -> None:
        """However many sessions there are, a staff is made for each sound, not for each of them."""
        usual, other = AudioParams("opus", 24000, 1, 60), AudioParams("opus", 16000, 1, 60)
        engaged: list[Any] = []
        for sound in (usual, other, usual, usual):
            session = Mock(downlink=sound, engage=engaged.append)
            self.rooms.factory.sessions.add(session)
        self.apply(FIRST)
        self.assertEqual(len(engaged), 4)
        self.assertEqual(sorted(map(engaged.count, engaged)), [1, 3, 3, 3])

    def crowd(self, number: int) -> list[Mock]:
        """Have so many sessions; give them."""
        sessions = [Mock(downlink=AudioParams("opus", 24000, 1, 60)) for _ in range(number)]
        self.rooms.factory.sessions.update(sessions)
        return sessions

    def test_thousands(self) -> None:
        """Thousands of sessions get their new staff some at a time; others have their turn."""
        sessions = self.crowd(2 * AT_ONCE + 1)
        before = self.rooms.factory._house
        applying = Deferred.fromCoroutine(self.rooms.apply(self.read("asr: [pocketsphinx]")))
        self.assertNoResult(applying)
        self.assertEqual(sum(session.engage.called for session in sessions), AT_ONCE)
        self.assertIsNot(self.rooms.factory._house, before)  # for those that come meanwhile
        self.rooms.factory.sessions.difference_update(sessions[::2])  # and some go
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(applying), ["asr"])
        self.assertTrue(all(session.engage.call_count == 1 for session in sessions))

    def test_given_up(self) -> None:
        """A server that stops does not go on with it."""
        sessions = self.crowd(2 * AT_ONCE)
        applying = Deferred.fromCoroutine(self.rooms.apply(self.read(FIRST)))
        applying.cancel()
        self.failureResultOf(applying, CancelledError)
        self.clock.advance(0)
        self.assertEqual(sum(session.engage.called for session in sessions), AT_ONCE)

    def test_manners(self) -> None:
        """The assistant, the end, the limits and the secret are the new ones at once."""
        self.apply(
            FIRST + "assistant: {name: Jeeves}\nlisten: {silence_ms: 700}\n"
            "idle: {close_connection_no_voice_time: 60}\nend_prompt: {enable: false, prompt: Bye}\n"
            "server: {max_connections: 3, max_connections_per_address: 2, max_devices: 1,"
            " max_messages_per_second: 70, secret: sesame, public_url: 'https://x.example'}\n"
        )
        house = self.rooms._house()
        self.assertEqual(house.staff.talk.chat.assistant.name, "Jeeves")
        self.assertEqual(house.limits.silence, 0.7)
        self.assertEqual((house.terms.patience.voice, house.terms.rate), (60, 70))
        self.assertEqual((house.manners.farewell, house.staff.farewell), (False, "Bye"))
        walls = self.walls
        self.assertEqual(
            (walls.crowd.most, walls.crowd.per_address, walls.presence.most), (3, 2, 1)
        )
        self.assertEqual(self.rooms.secret, "sesame")
        assert self.rooms.offer.public is not None
        self.assertEqual(self.rooms.offer.public.host, "x.example")

    def test_gate(self) -> None:
        """Another gate judges who comes from now on; one that cannot be made changes nothing."""
        before = self.rooms.factory.gate
        self.apply(FIRST + "auth: {mode: token, tokens: [{token: s3cret-s3cret}]}\n")
        gate = self.rooms.factory.gate
        self.assertEqual((before.running, gate.running), (0, 1))
        self.apply(FIRST + "server: {trusted_proxies: [192.0.2.1]}\n")
        self.assertIsNot(self.rooms.factory.gate, gate)
        caller = self.rooms.factory.gate.caller(
            Identity("d", "c", "header"), "192.0.2.1", {}, {"x-forwarded-for": "192.0.2.7"}
        )
        self.assertEqual(caller.peer, "192.0.2.7")
        self.assertTrue(
            self.rooms.offer.proxies.origin("192.0.2.1", {"x-forwarded-proto": "https"}).proxied
        )

    def test_key_in_a_file(self) -> None:
        """A public key is read again though its file is called the same; the same key is not."""
        path = Path(self.folder) / "issuer.pem"
        text = FIRST + f"auth: {{mode: jwt, jwt: {{public_key: '{path}'}}}}\n"
        gates = []
        for key in (CURVE, CURVE, EDWARDS):
            path.write_text(pem(key))
            gates.append((self.apply(text), self.rooms.factory.gate))
        (_, first), (nothing, second), (told, third) = gates
        self.assertEqual((nothing, told), ([], ["auth.jwt.public_key"]))
        self.assertIs(first, second)
        self.assertEqual((second.running, third.running), (0, 1))
        path.unlink()
        self.assertRaises(Unavailable, self.read, text)
        self.assertIs(self.rooms.factory.gate, third)

    def test_upkeep(self) -> None:
        """The log is written as is said now, without the new secrets; pages have new readers."""
        log = self.walls.log
        assert log is not None
        self.apply(
            FIRST + "log: {level: warn}\nmetrics: {open_to: [192.0.2.0/24]}\n"
            "server: {secret: open-sesame}\n"
        )
        for level in (LogLevel.info, LogLevel.warn):
            log({"log_level": level, "log_time": 0.0, "log_format": "say open-sesame"})
        (line,) = self.lines
        self.assertIn("say ***", line)
        self.assertIn(parse("192.0.2.9"), self.walls.pages["healthz"]._networks)

    def test_certificate(self) -> None:
        """Another certificate must be readable, and the same one if it is read anew."""
        text = FIRST + "server: {tls: {certificate: /nowhere/c.pem, key: /nowhere/k.pem}}\n"
        self.assertRaises(Unavailable, self.read, text)
        # As where only root could read it, which the server no longer is.
        self.rooms.made = attrs.evolve(self.rooms.made, config=self.load(text))
        self.assertIsNone(self.read(text).gate)
        self.assertRaises(Unavailable, self.rooms.read, restart=True)

    def test_metrics(self) -> None:
        """The metrics tell of the engines there are, and of no others."""
        self.apply("asr: [openai]")
        told = {labels for labels, _ in self.counters.values("engine_fit") if labels[0] == "asr"}
        self.assertEqual(told, {("asr", "openai")})
