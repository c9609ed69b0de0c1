"""The house as the settings want it, filled anew while it is in use."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.configuring import FileTestCase
from tests.fakes import Here
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.rooms import SETTLING, Engines, Made, Rooms
from xiaozhi.services import engine
from xiaozhi.wire import AudioParams, Obeyed, Order

FIRST = "asr: [{use: whisper, model: a}, pocketsphinx]\n"


class FakeEngine(Service):
    """Notes its life."""

    languages: Collection[str] = ("*",)

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
        engines = Engines(self.server, "en", Path(self.folder), self.clock, 2)
        self.config = self.load(FIRST)
        self.rooms = Rooms(engines, engines.make(self.config), lambda: self.config, self.obey)
        self.server.startService()
        self.addCleanup(self.server.stopService)

    def make(self, kind: str, name: str, settings: Any, workshop: Any) -> FakeEngine:
        if name in self.absent:
            raise Unavailable("not installed")
        return FakeEngine(settings)

    def obey(self, order: Order) -> Deferred[Obeyed]:
        return succeed(Obeyed.to(order))

    def read(self, text: str) -> Made:
        self.config = self.load(text)
        return self.rooms.read()

    def apply(self, text: str) -> Sequence[str]:
        return self.successResultOf(Deferred.fromCoroutine(self.rooms.apply(self.read(text))))

    def recognisers(self) -> list[Any]:
        return [member.engine for member in self.rooms.recognition.members]

    def test_unchanged(self) -> None:
        """What did not change is the same, and was never stopped."""
        before = self.recognisers()
        prompts = self.rooms._prompts
        self.assertEqual(self.apply(FIRST), [])
        self.assertEqual(self.recognisers(), before)
        self.assertEqual([one.starts for one in before], [1, 1])
        self.assertIs(self.rooms._prompts, prompts)

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

    def test_loading(self) -> None:
        """The old ones serve while the new ones load, but not for ever."""
        before = self.recognisers()
        made = self.read("asr: [openai]")
        new = made.engines["asr"][0][1]
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
        prompts = self.rooms._prompts
        self.assertEqual(self.apply(FIRST + "audio: {sample_rate: 16000}"), ["audio.sample_rate"])
        self.assertEqual(self.rooms._house().staff.downlink.sample_rate, 16000)
        self.assertEqual(self.rooms._staff(promised).downlink, promised)
        self.assertEqual((prompts.running, self.rooms._prompts.running), (0, 1))
        old = self.rooms._staff(AudioParams("opus", 24000, 1, 60)).voice()
        self.assertEqual(old._kept("anything"), ())

    def test_manners(self) -> None:
        """The assistant, the limits and the secret are the new ones at once."""
        self.apply(
            FIRST + "assistant: {name: Jeeves}\nlisten: {silence_ms: 700}\n"
            "server: {max_connections: 3, secret: sesame, public_url: 'https://x.example'}\n"
        )
        house = self.rooms._house()
        self.assertEqual(house.staff.chat.assistant.name, "Jeeves")
        self.assertEqual(house.limits.silence, 0.7)
        self.assertEqual(self.rooms.factory.maxConnections, 3)
        self.assertEqual(self.rooms.secret, "sesame")
        assert self.rooms.offer.public is not None
        self.assertEqual(self.rooms.offer.public.host, "x.example")
