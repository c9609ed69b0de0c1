"""The simplest engine of each kind, and the house around a session, all on a test's clock."""

from __future__ import annotations

import array
import json
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from tests.pictures import JPEG
from xiaozhi.audio import Encoder
from xiaozhi.choices import Wish
from xiaozhi.conversation import Conversation, Talk
from xiaozhi.ears import Ears
from xiaozhi.endpointing import Limits
from xiaozhi.errors import ServiceError
from xiaozhi.link import Link
from xiaozhi.manners import Manners
from xiaozhi.mcpvalues import FAILED
from xiaozhi.messages import AudioParams
from xiaozhi.messages import Sound as Packet
from xiaozhi.modes.chat import Chat
from xiaozhi.services.asr import Transcript
from xiaozhi.services.counters import Counters
from xiaozhi.services.llm import Message, Piece
from xiaozhi.services.tts import Sound
from xiaozhi.session import Session, Staff
from xiaozhi.settings import Assistant, Audio, Role
from xiaozhi.tooling import Outcome, Picture, Scene, Source, Tool
from xiaozhi.voice import Voice


def tone(seconds: float, rate: int = 16000, volume: int = 12000) -> bytes:
    """Make a tone of 16-bit PCM."""
    return array.array(
        "h", (int(volume * math.sin(0.13 * n)) for n in range(int(seconds * rate)))
    ).tobytes()


def silence(seconds: float, rate: int = 16000) -> bytes:
    """Make silence of 16-bit PCM."""
    return bytes(2 * int(seconds * rate))


def packets(pcm: bytes, frame_ms: int = 60) -> list[bytes]:
    """Encode what a microphone hears as a device does."""
    encoder = Encoder(16000, frame_ms, None, 0, dtx=True)
    size = encoder.frame_bytes
    return [encoder.encode(pcm[start : start + size]) for start in range(0, len(pcm), size)]


class LoudDetector:
    """Takes any sound that is not silence for voice."""

    samples = 320

    def open(self) -> LoudDetector:
        return self

    def probability(self, pcm: bytes) -> float:
        return float(max(array.array("h", pcm)) > 1000)


class FakeUtterance:
    """Collects sound; its text is what the test says, when it says so."""

    def __init__(self, owner: FakeRecognition) -> None:
        self.pcm = b""
        self.cancelled = False
        self._owner = owner

    @property
    def seconds(self) -> float:
        """How much was heard."""
        return len(self.pcm) / 32000

    def feed(self, pcm: bytes) -> None:
        self.pcm += pcm

    async def finish(self) -> Transcript:
        return await self._owner.text()

    def cancel(self) -> None:
        self.cancelled = True


class FakeRecognition:
    """Hears `texts`, one after the other; a Deferred among them is waited for."""

    def __init__(self, *texts: str | Transcript | Exception | Deferred[Any]) -> None:
        self.texts = list(texts)
        self.spare = True
        self.utterances: list[FakeUtterance] = []
        self.languages: list[str] = []

    def open(self, language: str) -> FakeUtterance:
        self.languages.append(language)
        self.utterances.append(FakeUtterance(self))
        return self.utterances[-1]

    async def text(self) -> Transcript:
        text = self.texts.pop(0)
        if isinstance(text, Deferred):
            text = await text
        if isinstance(text, Exception):
            raise text
        return text if isinstance(text, Transcript) else Transcript(text, "en")


class FakeMinds:
    """Answers every question with `pieces`; a Deferred among them is waited for."""

    def __init__(self, *pieces: Piece | Exception | Deferred[Any]) -> None:
        self.pieces = pieces
        self.asked: list[Sequence[Message]] = []
        self.languages: list[str] = []
        self.tools: list[Sequence[Tool]] = []
        self.closed = 0

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        self.asked.append(messages)
        self.tools.append(tools)
        self.languages.append(language)
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, Deferred):
                    await piece
                else:
                    yield piece
        finally:
            self.closed += 1


class FakeSpeech:
    """Speaks every sentence for `seconds`, as a tone."""

    def __init__(self, seconds: float = 1.2) -> None:
        self.seconds = seconds
        self.sentences: list[tuple[str, str]] = []
        self.failures: list[ServiceError | Literal["half"] | None] = []
        """What happens to the next sentences: they fail, break off ("half"), or are spoken."""
        self.wait: Deferred[None] | None = None
        self.closed = 0

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        self.sentences.append((sentence, language))
        try:
            failure = self.failures.pop(0) if self.failures else None
            if isinstance(failure, ServiceError):
                raise failure
            if self.wait is not None:
                await self.wait
            yield Sound(16000, tone(self.seconds))
            if failure == "half":
                raise ServiceError("tts", "broke off")
        finally:
            self.closed += 1


class FakeHands:
    """The tools of a device: one for operators, and a camera; two more fail."""

    def __init__(self) -> None:
        self.called: list[tuple[str, Any]] = []

    def tools(self, device: str) -> Sequence[Tool]:
        async def never(arguments: dict[str, Any], scene: Scene) -> Outcome:
            raise AssertionError("it is called by its name")

        return (
            Tool("self.reboot", "Starts anew.", never, user_only=True),
            Tool("take_photo", "Looks.\nOnce.", never),
        )

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        self.called.append((name, arguments))
        if name == "broken":
            raise ServiceError("tool", f"{FAILED}: no")
        if name == "failing":
            return Outcome(f"{FAILED}: no", failed=True)
        if name == "take_photo":
            return Outcome("a cat", pictures=(Picture("image/jpeg", JPEG),))
        return Outcome("true")


class Here:
    """A pool that works at once, in this thread."""

    def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        return maybeDeferred(work, *args, **kwargs)


class Event(NamedTuple):
    """Something a device was sent, and when."""

    time: float
    what: str | bytes


class FakeLink(Link):
    """Notes what it is told to send."""

    def __init__(self, clock: Any, counters: Counters | None = None) -> None:
        self.events: list[Event] = []
        self.open = True
        self._now = clock.seconds
        super().__init__(self, "s1", clock, counters=counters)

    def can_send(self) -> bool:
        return self.open

    def write(self, payload: bytes, binary: bool) -> None:
        self.events.append(Event(self._now(), payload if binary else payload.decode()))

    def say_goodbye(self, code: int, reason: str) -> None:
        self.events.append(Event(self._now(), f"close {code}"))

    def abort(self) -> None:
        self.events.append(Event(self._now(), "abort"))


class Table:
    """One device at a table with a session: it speaks, time passes, it is answered.

    Time is a clock's that stands still but in `pass_time`, or that of a reactor.
    """

    def __init__(
        self,
        recognition: FakeRecognition | None = None,
        minds: FakeMinds | None = None,
        speech: FakeSpeech | None = None,
        language: str = "",
        limits: Limits | None = None,
        manners: Manners | None = None,
        kept: Callable[[str], Sequence[bytes]] = lambda text: (),
        *,
        reactor: Any = None,
        assistant: Assistant | None = None,
        sources: Sequence[Source] = (),
    ) -> None:
        self.clock = reactor or Clock()
        if reactor is None:
            self.clock.advance(1000)
        self.warmed: list[Role | None] = []
        """In which roles engines were to get ready."""
        self.wishes: list[Wish | None] = []
        """The models that were wished for."""
        self.roles: list[Role | None] = []
        """In which roles something was said."""
        self.recognition = recognition or FakeRecognition(*["hello"] * 9)
        self.minds = minds or FakeMinds("I am fine. ", "And you?")
        self.speech = speech or FakeSpeech()
        self.counters = Counters()
        self.link = FakeLink(self.clock, self.counters)
        settings = Audio(sample_rate=16000)

        def voice(role: Role | None) -> Voice:
            self.roles.append(role)
            return Voice(self.speech, Here(), settings, kept)  # type: ignore[arg-type]

        chat = Chat(
            self._mind,
            assistant or Assistant(),
            lambda: datetime(2026, 11, 22, 9, 30),
            self.clock,
        )
        talk = Talk(chat, "en", sources, ("goodbye", "再见"), counters=self.counters)
        staff = Staff(
            self.recognition,  # type: ignore[arg-type]
            talk,
            voice,
            self.warmed.append,
            AudioParams("opus", 16000, 1, 60),
            counters=self.counters,
        )
        ears = Ears(LoudDetector(), limits or Limits())
        manners = manners or Manners(wakeup_words=("hey jarvis",))
        self.talk = Conversation(talk, "d1", True, language, self.clock)
        self.session = Session(self.link, ears, manners, staff, self.talk, self.clock)

    def _mind(self, purpose: str, wish: Wish | None) -> Any:
        self.wishes.append(wish)
        return self.minds

    def pass_time(self, seconds: float) -> None:
        """Let time pass, finely enough that every timer finds its moment."""
        for _ in range(round(seconds / 0.01)):
            self.clock.advance(0.01)

    def hear(self, pcm: bytes, frame_ms: int = 60) -> None:
        """Let the device stream what its microphone hears, in real time."""
        for packet in packets(pcm, frame_ms):
            self.session.receive(Packet(packet))
            self.pass_time(frame_ms / 1000)

    def told(self) -> list[str]:
        """Tell what the device was sent, in short: runs of audio as their number of frames."""
        out: list[str] = []
        frames = 0
        for event in [*self.link.events, Event(0, "{}")]:
            if isinstance(event.what, bytes):
                frames += 1
                continue
            if frames:
                out.append(f"{frames} frames")
                frames = 0
            if event.what.startswith("{"):
                message = json.loads(event.what)
                words = [message.get(key) for key in ("type", "state", "emotion")]
                text = message.get("text")
                out.append(" ".join(filter(None, words)) + (f": {text}" if text else ""))
            else:
                out.append(event.what)
        return out[:-1]
