"""The fault matrix: every engine that speaks to a server, with every fault a server can have.

Each cell is a whole turn, through the lists, the voice, the reply and the session: once with an
engine behind the faulty one, and once without. However the server fails, the turn ends in time
and spoken, nothing is said twice or left hanging, the failure is said once in the log, and the
device is listened to again. Where there is another engine, the next turn knows nothing of it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults

from tests.faulty import SAID, Fault, FaultyServer
from tests.room import SHORT, Room, RoomTestCase, expected
from tests.services.streams import within
from xiaozhi import reply
from xiaozhi.phrases import Key
from xiaozhi.services import tts
from xiaozhi.services.asr import openai as asr_openai
from xiaozhi.services.engine import Workshop
from xiaozhi.services.http import preload
from xiaozhi.services.llm import ollama
from xiaozhi.services.llm import openai as llm_openai
from xiaozhi.services.tts import gtts
from xiaozhi.services.tts import openai as tts_openai

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

STREAMED: Final = ("llm.openai", "llm.ollama", "tts.openai")
"""Those whose answers are used as they come."""


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


class Fixed(float):
    """A limit that does not grow with what it limits, so that nobody listens for minutes."""

    def __add__(self, more: float) -> float:
        return float(self)


class FaultMatrix(RoomTestCase):
    def setUp(self) -> None:
        super().setUp()
        preload()  # or the first cells pay for what the packages import, with their deadlines
        self.patch(reply, "LONGEST", 25)
        self.patch(tts, "LONGEST", Fixed(0.5))
        self.patch(gtts, "ADDRESS", "http://{tld}/_/TranslateWebserverUi/data/batchexecute")

    async def cell(self, engine: str, fault: Fault, alone: bool) -> str | None:
        """Return what is wrong with a turn."""
        kind = engine.partition(".")[0]
        language = "zh" if alone else "en"
        closing: Key | None = None
        if fault in HALF and engine in STREAMED:
            endless = fault is Fault.ENDLESS and kind == "llm"
            closing = "too_long" if endless else "broken_off"
        server = await FaultyServer(engine, fault).ready()
        name = f"{engine}, {fault.name}, {'alone' if alone else 'in company'}"
        room = Room(name, make(engine, server.address, self.shop), alone, language)
        turns = [expected(kind, SAID, closing, alone, language)]
        if not alone:
            well = expected(kind, "", None, alone, language)
            turns.append(turns[0] if closing == "too_long" else well)
        try:
            return await self.wrong(name, room, *turns)
        finally:
            await within(Deferred.fromCoroutine(server.deserted()))
            await server.stop()

    async def row(self, engine: str) -> None:
        """Fill the cells of an engine, all at the same time."""
        cells: list[Deferred[str | None]] = [
            Deferred.fromCoroutine(self.cell(engine, fault, alone))
            for fault in Fault
            for alone in (False, True)
            if (engine, fault) not in NO_CASE
        ]
        self.assertEqual("\n".join(filter(None, await gatherResults(cells))), "")

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
