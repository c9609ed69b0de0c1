"""A whole turn on the real clock, with an engine that fails: the room it is spoken in.

Ears, mind and voice are lists as the server has them, with the failing engine first in its own;
behind it, unless it is alone, is one that works.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any, Final, NamedTuple, cast

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher

from tests.fakes import Table, packets, silence, tone
from tests.services.streams import StreamTestCase, within
from xiaozhi.messages import ListenStart, Sound
from xiaozhi.phrases import Key, everything, phrase
from xiaozhi.services.asr import Recognition, Transcript
from xiaozhi.services.deadline import Deadlines
from xiaozhi.services.llm import Message, Minds, Piece
from xiaozhi.services.tts import Speech
from xiaozhi.tooling import Tool

SHORT: Final = 0.7
"""Seconds an engine has, and a list a bit more."""
IN_TIME: Final = 5.0
"""Seconds a turn may take, playing included."""
ASKED: Final = {"en": "What time is it?", "zh": "现在几点？"}
ANSWER: Final = {"en": "Nine.", "zh": "九点了。"}


class Ears:
    """A recogniser that works."""

    languages: Collection[str] = ("*",)

    def __init__(self, language: str) -> None:
        self._language = language

    def open(self, language: str) -> Ears:
        return self

    def feed(self, pcm: bytes) -> None:
        pass

    async def finish(self) -> Transcript:
        return Transcript(ASKED[self._language], self._language)

    def cancel(self) -> None:
        pass


class Mind:
    """A model that works."""

    languages: Collection[str] = ("*",)

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        yield ANSWER[language]


class Mouth:
    """A voice that works."""

    languages: Collection[str] = ("*",)
    rate = 16000

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        yield tone(0.12)


class Outcome(NamedTuple):
    """How a turn went."""

    heard: str
    """What the device was told it had said."""
    said: str
    """What it was told, sentence by sentence, without the blanks."""
    twice: list[str]
    """The sentences among them that were not new."""
    sounded: bool
    """Whether there was sound."""
    began_and_ended: list[str]
    """What it was told of the answer as a whole."""
    state: str
    blamed: int
    """How often a failure was said in the log."""


def expected(kind: str, half: str, closing: Key | None, alone: bool, language: str) -> Outcome:
    """Say how a turn should go with a failing engine of a `kind`.

    `half` and `closing` are what is said of an answer that failed in its middle, and how it is
    closed; else the answer fails before it begins.
    """
    heard, said = ASKED[language], ANSWER[language]
    if kind == "llm" and closing is not None:
        said = half
    elif alone and closing is None:
        failed: dict[str, Key] = {"asr": "deaf", "llm": "mindless", "tts": "voiceless"}
        closing = failed[kind]
        heard = "" if kind == "asr" else heard
        said = said if kind == "tts" else ""
    if closing is not None:
        said += phrase(closing, language)
    # To say too much is no failure of a model: it may have been asked to.
    blamed = 0 if closing == "too_long" else 1
    frame = ["start", "stop"]
    return Outcome(heard, said.replace(" ", ""), [], True, frame, "listening", blamed)


class Room:
    """A device and a session, with an engine called `name` ("tts.some, some fault") that fails."""

    def __init__(self, name: str, failing: Any, alone: bool, language: str) -> None:
        well = {"asr": Ears(language), "llm": Mind(), "tts": Mouth()}
        engines: dict[str, list[tuple[str, Any]]] = {k: [("well", e)] for k, e in well.items()}
        kind = name.partition(".")[0]
        engines[kind] = [(name, failing), *([] if alone else engines[kind])]
        patience = Deadlines(1.5 * SHORT, 1.5 * SHORT, 3 * SHORT)
        ears: Any = Recognition(engines["asr"], reactor, patience)
        minds: Any = Minds(engines["llm"], reactor, patience)
        speech: Any = Speech(engines["tts"], reactor, patience)
        self.staff = MultiService()
        for some in (ears, minds, speech):
            some.setServiceParent(self.staff)
        for member in (*ears.members, *minds.members, *speech.members):
            member.pause = 60.0  # no probe: whoever failed rests to the end
        self.staff.startService()
        kept = dict.fromkeys((text for text, _ in everything(language)), packets(tone(0.12)))
        self.table = Table(
            ears, minds, speech, language, kept=lambda text: kept.get(text, ()), reactor=reactor
        )
        self.over: Deferred[None] = Deferred()
        self.table.link.write = self._write  # type: ignore[method-assign]

    def _write(self, payload: bytes, binary: bool) -> None:
        type(self.table.link).write(self.table.link, payload, binary)
        if not binary and json.loads(payload).get("state") == "stop":
            self.over.callback(None)

    async def turn(self) -> None:
        """Ask something, and wait until it was answered and played."""
        self.over = Deferred()
        self.table.link.events.clear()
        self.table.session.receive(ListenStart("auto"))
        # Silence is counted in sound, which may come as fast as it likes.
        for packet in packets(tone(0.3) + silence(1.2)):
            self.table.session.receive(Sound(packet))
        await within(self.over, IN_TIME)
        await deferLater(reactor, 0)

    def outcome(self, blamed: int) -> Outcome:
        """Tell how it went; the sentences of an answer without end are left out."""
        sent = [event.what for event in self.table.link.events]
        told = [json.loads(what) for what in sent if isinstance(what, str)]
        states = [message["state"] for message in told if message["type"] == "tts"]
        said = [message["text"] for message in told if message.get("state") == "sentence_start"]
        return Outcome(
            "".join(message["text"] for message in told if message["type"] == "stt"),
            re.sub(r"And \d+ more\.| ", "", "".join(said)),
            [text for text, times in Counter(said).items() if times > 1],
            any(isinstance(what, bytes) for what in sent),
            [state for state in states if not state.startswith("sentence")],
            self.table.session.state,
            blamed,
        )

    async def leave(self) -> None:
        """End it all."""
        self.table.session.close()
        await self.staff.stopService()


class RoomTestCase(StreamTestCase):
    """Reads the log, and sees to it that no thread and no task is left."""

    stage = "tts"
    timeout = 60

    def setUp(self) -> None:
        self.addCleanup(self.no_threads)
        self.shop = self.workshop()
        self.addCleanup(self.no_tasks)
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def no_threads(self) -> None:
        """Fail if a thread of ours lives on."""
        ours = [thread.name for thread in threading.enumerate() if "xiaozhi" in thread.name]
        self.assertEqual(ours, [])

    async def wrong(self, name: str, room: Room, *turns: Outcome) -> str | None:
        """Let `turns` happen in a room, and end it; return what is wrong."""
        try:
            for wanted in turns:
                await room.turn()
                if (found := room.outcome(self.blamed(name))) != wanted:
                    return f"{name}:\n{found}\n{wanted}"
        except TimedOut:
            return f"{name} has no end: {room.table.told()}"
        finally:
            await room.leave()
        return None

    def blamed(self, name: str) -> int:
        """Count what was said of an engine's failure, and all else that sounds like trouble."""

        def counts(event: LogEvent) -> bool:
            if event.get("name") == name:
                return "failed" in event["log_format"]
            return bool(event["log_level"] >= LogLevel.warn and name in formatEvent(event))

        return sum(map(counts, self.events))
