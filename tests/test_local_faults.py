"""Engines inside the server that fail: each a whole turn, as in the fault matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from tests.room import Room, RoomTestCase, expected
from tests.services.streams import within
from xiaozhi.errors import ServiceError
from xiaozhi.services.asr import pocketsphinx, whisper
from xiaozhi.services.asr._sphinx_process import Decoder
from xiaozhi.services.llm import llamacpp
from xiaozhi.services.tts import espeak, piper


class Dying(Decoder):
    """A decoder whose process ends at once."""

    command = ("false",)


class Hanging(Decoder):
    """A decoder whose process says nothing."""

    command = ("sleep", "60")


class Broken:
    """A model, a voice, a library: nothing works that is wanted of it."""

    language = "en"

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def transcribe(self, *args: Any) -> Any:
        raise RuntimeError("out of memory")

    phonemize = transcribe

    def say(self, *args: Any) -> Any:
        raise ServiceError("tts", "espeak-ng failed (-1)")


class LocalFaults(RoomTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = Path(self.mktemp())
        self.file.write_bytes(b"GGUF" + bytes(1000))

    async def both(self, name: str, *engines: Any, asked: bool = True) -> None:
        """Have a turn with an engine in company, and one with its like alone.

        `asked`: whether it is asked for anything if there is another.
        """
        kind = name.partition(".")[0]
        turns: list[Deferred[str | None]] = []
        for engine, alone in zip(engines, (False, True), strict=True):
            called = f"{name}, {'alone' if alone else 'in company'}"
            wanted = expected(kind, "", None, alone, "en")
            if not asked and not alone:
                wanted = wanted._replace(blamed=0)
            room = Room(called, engine, alone, "en")
            if (loader := getattr(engine, "loader", None)) is not None:
                await within(loader.settled())
            for loader in getattr(engine, "loaders", ()):
                await within(loader.settled())
            turns.append(Deferred.fromCoroutine(self.wrong(called, room, wanted)))
        self.assertEqual("\n".join(filter(None, await gatherResults(turns))), "")

    async def test_pocketsphinx_dies(self) -> None:
        """Its process dies."""
        await self.both("asr.pocketsphinx", *(self.sphinx(Dying) for _ in range(2)))

    async def test_pocketsphinx_hangs(self) -> None:
        """Its process hangs, and is ended with the server."""
        await self.both("asr.pocketsphinx", *(self.sphinx(Hanging) for _ in range(2)))

    def sphinx(self, decoder: type[Decoder]) -> pocketsphinx.Recogniser:
        return pocketsphinx.Recogniser(pocketsphinx.Settings(), self.shop, decoder=decoder)

    async def test_whisper_missing(self) -> None:
        """Its weights are not where they should be."""
        settings = whisper.Settings(model="/nonexistent")
        await self.both("asr.whisper", *(whisper.Recogniser(settings, self.shop) for _ in "ab"))

    async def test_whisper_raises(self) -> None:
        """Its model fails at every utterance."""
        settings = whisper.Settings(model=str(Path.cwd()))
        broken: Any = Broken
        await self.both(
            "asr.whisper", *(whisper.Recogniser(settings, self.shop, broken) for _ in "ab")
        )

    async def test_llamacpp_garbage(self) -> None:
        """Its weights are no weights."""
        settings = llamacpp.Settings(model=str(self.file))
        await self.both("llm.llamacpp", *(llamacpp.Model(settings, self.shop) for _ in "ab"))

    async def test_piper_missing(self) -> None:
        """Its voice is not where it should be: it speaks no language, and that is said before."""
        settings = piper.Settings(voices=("/nonexistent.onnx",))
        speakers = (piper.Speaker(settings, self.shop) for _ in "ab")
        await self.both("tts.piper", *speakers, asked=False)

    async def test_piper_raises(self) -> None:
        """Its model fails at every sentence."""
        settings = piper.Settings(voices=(str(Path.cwd()),))

        def load(path: Path, **options: Any) -> piper.Voice:
            return piper.Voice("en", Broken(), None)

        await self.both("tts.piper", *(piper.Speaker(settings, self.shop, load) for _ in "ab"))

    async def test_espeak_raises(self) -> None:
        """Its library fails at every sentence."""
        self.patch(espeak, "library", Broken)
        await self.both("tts.espeak", *(espeak.Speaker(espeak.Settings(), self.shop) for _ in "ab"))
