"""The fault matrix: every engine that speaks to a server, with every fault a server can have.

Each cell is a whole turn, through the lists, the voice, the reply and the session, on the real
clock: once with an engine behind the faulty one, and once without. However the server fails, the
turn ends in time, spoken if anything can speak, and the device is listened to again.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher

from tests.fakes import Table, packets, silence, tone
from tests.faulty import SAID, Fault, FaultyServer
from tests.services.streams import StreamTestCase, within
from xiaozhi import reply
from xiaozhi.phrases import Key, phrase
from xiaozhi.services import tts
from xiaozhi.services.asr import Recognition, Transcript
from xiaozhi.services.asr import openai as asr_openai
from xiaozhi.services.deadline import Deadlines
from xiaozhi.services.engine import Workshop
from xiaozhi.services.llm import Message, Minds, ollama
from xiaozhi.services.llm import openai as llm_openai
from xiaozhi.services.tts import Speech, gtts
from xiaozhi.services.tts import openai as tts_openai
from xiaozhi.wire import ListenStart, Sound

NO_CASE: Final[Mapping[tuple[str, Fault], str]] = {
    ("asr.openai", Fault.WRONG_FORMAT): "it sends no sound",
    ("llm.openai", Fault.WRONG_FORMAT): "it sends no sound",
    ("llm.ollama", Fault.WRONG_FORMAT): "it sends no sound",
    ("llm.ollama", Fault.NO_KEY): "it knows no keys",
    ("tts.openai", Fault.GARBAGE): "any bytes are PCM, which has no form that could be checked",
    ("tts.openai", Fault.CUT_SHORT): "nor has it an end",
}
"""What is left out of the matrix, and why."""

HALF: Final = frozenset({Fault.TRUNCATED, Fault.CUT_SHORT, Fault.STALLED, Fault.ENDLESS})
"""What happens in the middle of an answer, if the answer is used as it comes."""

SHORT: Final = 0.4
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

    async def reply(self, messages: Sequence[Message], language: str) -> AsyncGenerator[str, None]:
        yield ANSWER[language]


class Mouth:
    """A voice that works."""

    languages: Collection[str] = ("*",)
    rate = 16000

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        yield tone(0.12)


def make(engine: str, address: str, workshop: Workshop) -> Any:
    """Make an engine that speaks to the server at `address`."""
    there: Any = {"base_url": f"http://{address}/v1", "api_key": "k3y"}
    there |= {"connect_s": SHORT, "timeout_s": SHORT}
    match engine:
        case "asr.openai":
            return asr_openai.Recogniser(asr_openai.Settings(**there), workshop)
        case "llm.openai":
            return llm_openai.Model(llm_openai.Settings(**there, model="m"), workshop)
        case "llm.ollama":
            settings = ollama.Settings(url=f"http://{address}", connect_s=SHORT, timeout_s=SHORT)
            return ollama.Model(settings, workshop)
        case "tts.openai":
            return tts_openai.Speaker(tts_openai.Settings(**there), workshop)
    return gtts.Speaker(gtts.Settings(tld=address, timeout_s=SHORT), workshop)


class Outcome(NamedTuple):
    """How a turn went."""

    heard: str
    """What the device was told it had said."""
    said: str
    """What it was told, sentence by sentence, without the blanks."""
    twice: list[str]
    """The sentences among them that were not new."""
    sounded: bool
    """Whether there was sound at all."""
    began_and_ended: list[str]
    state: str
    blamed: int
    """How often a failure was said in the log."""


class Room:
    """A device and a session, whose lists hold what the test puts into them."""

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
        self.staff.startService()
        self.table = Table(ears, minds, speech, language, reactor=reactor)
        self.over: Deferred[None] = Deferred()
        self.table.link.write = self._write  # type: ignore[method-assign]

    def _write(self, payload: bytes, binary: bool) -> None:
        type(self.table.link).write(self.table.link, payload, binary)
        if not binary and json.loads(payload).get("state") == "stop":
            self.over.callback(None)

    async def turn(self) -> None:
        """Ask something, and wait until it was answered and played."""
        self.table.session.receive(ListenStart("auto"))
        # Silence is counted in sound, which may come as fast as it likes.
        for packet in packets(tone(0.3) + silence(1.2)):
            self.table.session.receive(Sound(packet))
        await within(self.over, IN_TIME)
        await deferLater(reactor, 0)

    def outcome(self, blamed: int) -> Outcome:
        """Tell how it went; the sentences of an answer without end are left out."""
        frames = [event.what for event in self.table.link.events if isinstance(event.what, bytes)]
        texts = [event.what for event in self.table.link.events if isinstance(event.what, str)]
        told = [json.loads(text) for text in texts]
        states = [message["state"] for message in told if message["type"] == "tts"]
        said = [message["text"] for message in told if message.get("state") == "sentence_start"]
        return Outcome(
            "".join(message["text"] for message in told if message["type"] == "stt"),
            re.sub(r"And \d+ more\.| ", "", "".join(said)),
            [text for text, times in Counter(said).items() if times > 1],
            bool(frames),
            [state for state in states if not state.startswith("sentence")],
            self.table.session.state,
            blamed,
        )

    async def leave(self) -> None:
        """End it all."""
        self.table.session.close()
        await self.staff.stopService()


def expected(engine: str, fault: Fault, alone: bool, language: str) -> Outcome:
    """Say how a turn should go."""
    kind = engine.partition(".")[0]
    heard, said = ASKED[language], ANSWER[language]
    # An answer of an other kind than these is used when it is complete.
    half = fault in HALF and engine in ("llm.openai", "llm.ollama", "tts.openai")
    closing: Key | None = None
    if kind == "asr" and alone:
        heard, said, closing = "", "", "deaf"
    elif kind == "llm" and half:
        said, closing = SAID, "too_long" if fault is Fault.ENDLESS else "broken_off"
    elif kind == "llm" and alone:
        said, closing = "", "mindless"
    elif kind == "tts" and half:
        closing = "broken_off"
    elif kind == "tts" and alone:
        closing = "voiceless"
    said += phrase(closing, language) if closing else ""
    sounded = kind != "tts" or half or not alone
    said = said.replace(" ", "")
    # To say too much is no failure of a model: it may have been asked to.
    blamed = 0 if closing == "too_long" else 1
    return Outcome(heard, said, [], sounded, ["start", "stop"], "listening", blamed)


class Fixed(float):
    """A limit that does not grow with what it limits, so that nobody listens for minutes."""

    def __add__(self, more: float) -> float:
        return float(self)


class FaultMatrix(StreamTestCase):
    stage = "tts"
    timeout = 60

    def setUp(self) -> None:
        self.addCleanup(self.no_threads)
        self.shop = self.workshop()
        self.addCleanup(self.no_tasks)
        self.patch(reply, "LONGEST", 25)
        self.patch(tts, "LONGEST", Fixed(0.5))
        self.patch(gtts, "ADDRESS", "http://{tld}/_/TranslateWebserverUi/data/batchexecute")
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def no_threads(self) -> None:
        """Fail if a thread of ours lives on."""
        ours = [thread.name for thread in threading.enumerate() if "xiaozhi" in thread.name]
        self.assertEqual(ours, [])

    async def cell(self, engine: str, fault: Fault, alone: bool) -> str:
        """Let one turn happen; return what is wrong with it, or nothing."""
        language = "zh" if alone else "en"
        server = await FaultyServer(engine, fault).ready()
        name = f"{engine}, {fault.name}, {'alone' if alone else 'in company'}"
        room = Room(name, make(engine, server.address, self.shop), alone, language)
        try:
            await room.turn()
        except TimedOut:
            return f"{name}: no end, {room.table.told()}"
        finally:
            await room.leave()
            await within(Deferred.fromCoroutine(server.deserted()))
            await server.stop()
        wanted = expected(engine, fault, alone, language)
        found = room.outcome(self.blamed(name))
        return (
            ""
            if found == wanted
            else f"{name}:\n  {found}\n  {wanted}"
            + str([formatEvent(e) for e in self.events if e.get("name") == name])
        )

    def blamed(self, name: str) -> int:
        """Count what was said of an engine's failure, and all else that sounds like trouble."""

        def counts(event: LogEvent) -> bool:
            if event.get("name") == name:
                return "failed" in event["log_format"]
            return bool(event["log_level"] >= LogLevel.warn and name in formatEvent(event))

        return sum(map(counts, self.events))

    async def row(self, engine: str) -> None:
        """Fill the cells of an engine, all at the same time."""
        cells = [
            Deferred.fromCoroutine(self.cell(engine, fault, alone))
            for fault in Fault
            for alone in (False, True)
            if (engine, fault) not in NO_CASE
        ]
        self.assertEqual([wrong for wrong in await gatherResults(cells) if wrong], [])

    async def test_asr_openai(self) -> None:
        """Ears behind OpenAI's API."""
        await self.row("asr.openai")

    async def test_llm_openai(self) -> None:
        """A mind behind OpenAI's API."""
        await self.row("llm.openai")

    async def test_llm_ollama(self) -> None:
        """A mind behind Ollama's API."""
        await self.row("llm.ollama")

    async def test_tts_openai(self) -> None:
        """A voice behind OpenAI's API."""
        await self.row("tts.openai")

    async def test_tts_gtts(self) -> None:
        """Google's voice."""
        await self.row("tts.gtts")
