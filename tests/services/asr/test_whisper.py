"""The engine `whisper`, with a model that takes no time; the real one is in tests/system."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import close_session
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.hub_server import Hub, folder
from tests.services.asr.contract import RecogniserContract
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.asr import RATE, Transcript, _whisper
from xiaozhi.services.asr.whisper import LONGEST, Recogniser, Settings, source
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.weights import Model


class FakeWhisper:
    """Says how much it heard, and with which wishes."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.go = threading.Event()
        self.go.set()
        self.broken = False
        self.calls = 0

    def transcribe(
        self, pcm: bytes, languages: Collection[str], hint: str, cancelled: Callable[[], bool]
    ) -> Transcript:
        """Answer when the test lets it."""
        self.go.wait(5)
        self.calls += 1
        if self.broken:
            raise RuntimeError("out of memory")
        return Transcript(f"{len(pcm)} {sorted(languages)}" if pcm else "", hint)


class Engine(TestCase):
    """An engine whose model is ready at once."""

    timeout = 10

    def prepare(self) -> None:
        self.clock = Clock()
        self.pool = Workers(reactor, "asr", size=1)
        self.pool.startService()
        self.addCleanup(self.pool.stopService)
        self.workshop = Workshop(self.clock, self.pool, Path("state"), "en")
        self.made: list[FakeWhisper] = []
        settings = Settings(model=str(Path.cwd()), endpoint="")
        self.engine = Recogniser(settings, self.workshop, self.load)
        self.engine.startService()
        self.addCleanup(self.engine.stopService)

    def load(self, path: Path, **options: Any) -> Any:
        self.made.append(FakeWhisper(path, **options))
        return self.made[-1]

    async def ready(self) -> FakeWhisper:
        # With one thread this comes after the loading.
        await self.pool.run(int)
        return self.made[0]


class Contract(Engine, RecogniserContract):
    """What every recogniser keeps to."""

    def setUp(self) -> Deferred[FakeWhisper]:  # type: ignore[override]
        self.prepare()
        self.recogniser = self.engine
        return Deferred.fromCoroutine(self.ready())


class Utterances(Engine):
    """Utterances from `open` to `finish`."""

    def setUp(self) -> None:
        self.prepare()

    async def test_loading(self) -> None:
        """Before the model is there, opening says why not."""
        error = self.assertRaises(ServiceError, self.engine.open, "en")
        self.assertEqual((error.stage, error.why), ("asr", "whisper is loading"))
        await self.ready()
        self.engine.open("en").cancel()

    async def test_finish(self) -> None:
        """All that was fed is recognised, with the languages allowed and the user's as a hint."""
        await self.ready()
        utterance = self.engine.open("vi")
        for _ in range(3):
            utterance.feed(bytes(1920))
        self.assertEqual(await utterance.finish(), Transcript("5760 ['en', 'zh']", "vi"))

    async def test_bound(self) -> None:
        """No more than a minute is kept."""
        await self.ready()
        utterance = self.engine.open("en")
        for _ in range(LONGEST + 5):
            utterance.feed(bytes(RATE * 2))
        self.assertTrue((await utterance.finish()).text.startswith(f"{LONGEST * RATE * 2} "))

    async def test_failure(self) -> None:
        """A model that fails is a failure of the engine."""
        (await self.ready()).broken = True
        utterance = self.engine.open("en")
        error: Any = await self.assertFailure(
            Deferred.fromCoroutine(utterance.finish()), ServiceError
        )
        self.assertEqual(str(error), "asr: whisper failed: out of memory")

    async def test_deadline(self) -> None:
        """A recognition that takes too long is given up."""
        model = await self.ready()
        model.go.clear()
        waiting = Deferred.fromCoroutine(self.engine.open("en").finish())
        self.clock.advance(20)
        model.go.set()
        error = await self.assertFailure(waiting, ServiceError)
        self.assertEqual(str(error), "asr: whisper took more than 20 s")

    async def test_cancel(self) -> None:
        """A cancelled utterance takes no more sound and cannot be finished."""
        await self.ready()
        utterance = self.engine.open("en")
        utterance.cancel()
        utterance.cancel()
        utterance.feed(bytes(1920))
        error: Any = await self.assertFailure(
            Deferred.fromCoroutine(utterance.finish()), ServiceError
        )
        self.assertEqual(error.why, "the utterance was cancelled")

    async def test_at_once(self) -> None:
        """Several utterances wait for the threads there are, and each gets its own text."""
        await self.ready()
        utterances = [self.engine.open("en") for _ in range(4)]
        for number, utterance in enumerate(utterances):
            utterance.feed(bytes(2 * number + 2))
        waiting = [Deferred.fromCoroutine(each.finish()) for each in utterances]
        texts = [(await each).text.split()[0] for each in waiting]
        self.assertEqual(texts, ["2", "4", "6", "8"])

    async def test_fetched(self) -> None:
        """A model by name is fetched from the hub that the settings name, and then loaded."""
        hub = Hub()
        endpoint = hub.start()
        self.addCleanup(hub.stop)
        self.addCleanup(close_session)
        for name in ("config.json", "tokenizer.json", "vocabulary.json", "model.bin"):
            hub.files[f"owner/tiny/{name}"] = name.encode()
        workshop = Workshop(reactor, self.pool, folder(self), "en")
        settings = Settings(model="owner/tiny", endpoint=endpoint)
        engine = Recogniser(settings, workshop, self.load)
        engine.startService()
        self.addCleanup(engine.stopService)
        await engine.loader.settled()
        engine.open("en").cancel()
        model = workshop.state / "models" / "whisper-owner--tiny"
        self.assertEqual((model / "model.bin").read_bytes(), b"model.bin")


class Decisions(SynchronousTestCase):
    """What is decided about Whisper's output, without Whisper."""

    def test_missing_package(self) -> None:
        """Without faster-whisper the engine says how to get it."""
        self.patch(importlib.util, "find_spec", lambda name: None)
        workshop = Workshop(Clock(), Workers(Clock(), "asr"), Path("state"), "en")
        error = self.assertRaises(Unavailable, Recogniser, Settings(), workshop)
        self.assertIn("is not installed: pip install ", str(error))

    def test_language(self) -> None:
        """The likeliest allowed language wins, the user's own if it is close."""
        chances = {"en": 0.3, "zh": 0.1, "nn": 0.5, "vi": 0.05, "fr": 0.001}
        for languages, hint, chosen in (
            (("zh", "en"), "", "en"),
            (("zh", "en"), "zh", "zh"),
            (("zh", "en"), "fr", "en"),
            (("zh",), "vi", "vi"),
            ((), "", "nn"),
            ((), "en", "en"),
            (("xx",), "", "nn"),
            (("zh", "en"), "xx", "en"),
        ):
            self.assertEqual(_whisper.choose(chances, languages, hint), chosen, (languages, hint))

    def test_loops(self) -> None:
        """What is repeated four times or more is said once; less, and numbers, stay."""
        for text, shorter in {
            "貓,貓,貓,貓,貓": "貓",
            "做地铁铁铁铁铁翻遍": "做地铁翻遍",
            "you you you you you": "you",
            "I'm sorry. I'm sorry. I'm sorry. I'm sorry. Bye.": "I'm sorry. Bye.",
            "no, no, no": "no, no, no",
            "1 000 000 000 000": "1 000 000 000 000",
            "谢谢": "谢谢",
            "": "",
        }.items():
            self.assertEqual(_whisper.unloop(text), shorter)

    def test_dreams(self) -> None:
        """Text is believed by how sure the decoder is and whether it is a known caption."""
        for text, confidence, silence, believed in (
            ("What time is it?", -0.04, 0.004, True),
            ("you", -0.69, 0.9, False),
            ("Yes.", -0.2, 0.65, True),
            ("先塞起点了", -1.2, 0.54, True),
            ("This is a very good idea.", -1.22, 0.54, False),
            ("Thank you for watching!", -0.3, 0.5, False),
            ("字幕由Amara.org社區提供", -0.2, 0.5, False),
            ("Thank you for watching my dog.", -0.2, 0.02, True),
        ):
            decoded = _whisper._Decoded(text, confidence, silence)
            self.assertEqual(_whisper.heard(decoded), believed, text)

    def test_windows(self) -> None:
        """A long utterance is cut where it is quiet, and nothing is lost."""
        sound = np.ones(60 * RATE, np.float32)
        sound[25 * RATE : 25 * RATE + RATE // 2] = 0
        windows = _whisper._windows(sound)
        self.assertTrue(25 * RATE <= len(windows[0]) <= 25.5 * RATE)
        self.assertTrue(all(len(window) <= 28 * RATE for window in windows))
        self.assertTrue(np.array_equal(np.concatenate(windows), sound))
        self.assertEqual([len(window) for window in _whisper._windows(sound[:100])], [100])

    def test_sources(self) -> None:
        """A model is a path, one of the well-known names, or a repository."""
        self.assertEqual(source("/models/mine"), Path("/models/mine"))
        base, other = source("base"), source("owner/name")
        assert isinstance(base, Model)
        assert isinstance(other, Model)
        self.assertEqual(base.repository, "Systran/faster-whisper-base")
        self.assertEqual((other.repository, other.name), ("owner/name", "whisper-owner--name"))
        self.assertTrue(all(file.sha256 for file in base.files if file.parts))
