"""A whole server in this process, with engines that take a moment, and devices to try it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from bench.websocket import TEXT, Reader
from tests.fakes import FakeRecognition, LoudDetector, tone
from tests.services.open_house import nobody
from tests.websocket import FakeStore, masked, request
from xiaozhi.conversation import Talk
from xiaozhi.endpointing import Limits
from xiaozhi.errors import ServiceError
from xiaozhi.factory import DeviceFactory, House
from xiaozhi.idling import Patience
from xiaozhi.limits import Crowd
from xiaozhi.manners import Manners
from xiaozhi.messages import AudioParams
from xiaozhi.modes.chat import Chat
from xiaozhi.presence import Presence
from xiaozhi.services.asr import Transcript
from xiaozhi.services.auth import Gate
from xiaozhi.services.auth.lists import Neighbours
from xiaozhi.services.counters import Counters
from xiaozhi.services.devices import Devices
from xiaozhi.services.journal import Journal
from xiaozhi.services.llm import Message, Piece
from xiaozhi.services.pool import Workers
from xiaozhi.services.store.records import SessionMemory
from xiaozhi.services.tts import Sound
from xiaozhi.services.web.listening import Listening
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.proxies import Proxies
from xiaozhi.services.web.site import site
from xiaozhi.session import Staff
from xiaozhi.settings import Assistant, Audio
from xiaozhi.tooling import Call, Clip, Outcome, Scene, Tool
from xiaozhi.visit import Terms
from xiaozhi.voice import Voice

reactor: Any = the_reactor

SPOKEN = tone(0.3)
HELLO = {"type": "hello", "features": {"mcp": True}}


class Recognition(FakeRecognition):
    """Takes a moment to understand, or fails."""

    async def text(self) -> Transcript:
        await deferLater(reactor, random.uniform(0, 0.06))
        if random.random() < 0.1:
            raise ServiceError("asr", "gone")
        return Transcript("hello", "en")

    def open(self, language: str) -> Any:
        utterance = super().open(language)
        self.utterances.clear()
        return utterance


class Minds:
    """Takes a moment to answer, or fails, or calls a tool."""

    async def reply(
        self, messages: list[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        if tools and messages[-1].role == "user" and random.random() < 0.5:
            yield Call("", random.choice((tools[-1], *tools)).name, {})  # the device's own is last
            return
        for piece in ("I am fine. ", "And you? ", "All is well."):
            await deferLater(reactor, random.uniform(0, 0.06))
            if random.random() < 0.05:
                raise ServiceError("llm", "gone")
            yield piece


class Hands:
    """Tools that take a moment, or as long as anybody waits; and music."""

    def __init__(self) -> None:
        self.at_work: Counter[tuple[str, str]] = Counter()
        """What each device has under way: a tool, or music."""
        self._tools = (
            Tool("wait", "Waits.", self._wait, patience=1.0),
            Tool("wait_alone", "Waits.", self._wait, alone=True, patience=1.0),
            Tool("play", "Plays.", self._play),
        )

    def tools(self, device: str) -> Sequence[Tool]:
        return self._tools

    async def _wait(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        self.at_work[scene.device, "tool"] += 1
        try:
            await deferLater(reactor, random.choice((0.0, 0.1, 1000.0)))
        finally:
            self.at_work[scene.device, "tool"] -= 1
        if random.random() < 0.1:
            raise ServiceError("tool", "gone")
        return Outcome("done")

    async def _play(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        async def pcm() -> AsyncGenerator[bytes, None]:
            self.at_work[scene.device, "music"] += 1
            try:
                for _ in range(random.randint(8, 20)):
                    await deferLater(reactor, random.uniform(0, 0.06))
                    yield SPOKEN
            finally:
                self.at_work[scene.device, "music"] -= 1

        scene.play(Clip("A song", 16000, pcm))
        return Outcome("playing", "Now.", final=True)


class Speech:
    """Speaks at once, or fails."""

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        yield Sound(16000, SPOKEN)
        if random.random() < 0.05:
            raise ServiceError("tts", "gone")


class Store(FakeStore):
    """Takes a moment for each answer."""

    def __init__(self, moment: float = 0.05) -> None:
        super().__init__()
        self._moment = moment

    def _answer(self, value: Any) -> Deferred[Any]:
        return deferLater(reactor, random.uniform(0, self._moment), lambda: value)

    def remember(self, memory: SessionMemory) -> Deferred[None]:
        self.memories[memory.session_id] = memory
        return deferLater(reactor, random.uniform(0, self._moment / 20))


ANSWERS = {
    "initialize": {"protocolVersion": "2024-11-05", "serverInfo": {"name": "x", "version": "1"}},
    "tools/list": {
        "tools": [{"name": "self.wave", "inputSchema": {"type": "object", "properties": {}}}]
    },
    "tools/call": {"content": [{"type": "text", "text": "true"}]},
}
"""What a device says of its tools."""


class Client(Protocol):
    """A device that talks, and does not always answer what it is asked."""

    def __init__(self, device: str) -> None:
        self.opened: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.goodbye: Deferred[bool] = Deferred()
        """Fires when the connection ends: whether the server said goodbye."""
        self.later: Sequence[object] = ()
        """What is said when the server knows the tools of this device."""
        self.obliging = False
        """Whether it answers every call from now on..."""
        self.silent = False
        """...after it has left one without an answer."""
        self._device = device
        self._frames = Reader()
        self._head = b""

    @property
    def wire(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        self.wire.write(request(f"/xiaozhi/v1/?device-id={self._device}"))

    def dataReceived(self, data: bytes) -> None:
        if not self.opened.called:
            self.opened.callback(None)
        # A close frame is the last there is, and short.
        if b"\x88\x02\x03\xe8" in data[-4:] and not self.goodbye.called:
            self.goodbye.callback(True)
        if b"\r\n\r\n" not in self._head:
            self._head += data
            data = self._head.partition(b"\r\n\r\n")[2]
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT and b'"mcp"' in payload:
                self._answer(json.loads(payload)["payload"])

    def _answer(self, asked: Any) -> None:
        """Answer what the server asks; many a call remains without an answer."""
        call = asked["method"] == "tools/call"
        if call and not self.obliging and random.random() < 0.7:
            self.silent = True
        elif "id" in asked:
            reply = {"jsonrpc": "2.0", "id": asked["id"], "result": ANSWERS[asked["method"]]}
            self.say({"type": "mcp", "payload": reply})
            if asked["method"] == "tools/list":
                self.say(*self.later)

    def connectionLost(self, reason: Any = None) -> None:
        if not self.opened.called:
            self.opened.errback(reason)
        if not self.goodbye.called:
            self.goodbye.callback(False)
        self.lost.callback(None)

    def say(self, *messages: object) -> None:
        for message in messages:
            sound = isinstance(message, bytes)
            payload = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.wire.write(masked(2 if sound else 1, payload))


class Server(MultiService):
    """Listens on a free port of loopback once it is started."""

    def __init__(self, folder: Path, store: FakeStore, patience: Patience) -> None:
        super().__init__()
        counters = Counters()
        journal = Journal(folder, store, counters, reactor)
        workers = Workers(reactor, "audio")
        sound = Audio(sample_rate=16000)
        minds: Any = Minds()
        self.hands = Hands()
        chat = Chat(
            lambda purpose, wish: minds, Assistant(), lambda: datetime(2026, 11, 22), reactor
        )
        staff = Staff(
            Recognition(),  # type: ignore[arg-type]
            Talk(chat, "en", [self.hands]),
            lambda role: Voice(Speech(), workers, sound),
            lambda role: None,
            AudioParams("opus", 16000, 1, 60),
        )
        terms = Terms(
            Presence(store, 10**6, counters, reactor, reactor.seconds),
            counters,
            reactor.seconds,
            journal.add,
            patience,
        )
        manners = Manners(wakeup_words=("hey jarvis",), guard=0.1)
        limits = Limits(silence=0.3, pause=0.12, fallback=0.5, manual_fallback=0.5)
        house = House(staff, LoudDetector(), limits, manners, Devices(), terms)
        gate = Gate([Neighbours()], Proxies(), counters, reactor, reactor.seconds)
        self.factory = DeviceFactory(house, gate, reactor, Crowd(10**6, 10**6))
        served = site(self.factory, Offer(None, 1, datetime.now), Devices(), nobody())
        served.noisy = False
        self.listening = Listening(reactor, served, ["127.0.0.1"], 0)
        for service in (workers, journal, gate, self.listening):
            service.setServiceParent(self)


async def connect(port: int, device: str) -> Client:
    """Open a WebSocket to the server at `port`."""
    client = Client(device)
    endpoint = HostnameEndpoint(reactor, b"127.0.0.1", port)
    await endpoint.connect(Factory.forProtocol(lambda: client))
    await client.opened
    return client
