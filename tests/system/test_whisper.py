"""Whisper as it is, with the weights that are installed: what it hears, and what it does not.

Bounds: of an English sentence in a good voice four words in five; of a Chinese one in a robot's
voice, which is hard to understand, six characters in ten; of silence and noise nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import soxr
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.hub_server import folder
from xiaozhi.services.asr import RATE, Transcript
from xiaozhi.services.asr.whisper import Recogniser
from xiaozhi.services.asr.whisper import Settings as Hearing
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts.piper import Settings as Speaking
from xiaozhi.services.tts.piper import Speaker

# espeak-ng has one state per process, and it is the business of the engine that speaks with it.
ESPEAK = """
import ctypes, sys, espeakng_loader
library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
take = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    lambda wave, count, events: sys.stdout.buffer.write(ctypes.string_at(wave or b"", 2 * count))
    and 0 or 0
)
library.espeak_SetSynthCallback(take)
library.espeak_SetVoiceByName(sys.argv[1].encode())
library.espeak_SetParameter(1, 140, 0)
text = sys.argv[2].encode() + bytes(1)
library.espeak_Synth(text, len(text), 0, 0, 0, 1, None, None)
"""


def robot(text: str, voice: str) -> bytes:
    """Say `text` in the robot's voice, at its 22050 Hz."""
    return subprocess.run(
        [sys.executable, "-c", ESPEAK, voice, text], capture_output=True, check=True, timeout=20
    ).stdout


def overlap(said: list[str], heard: list[str]) -> float:
    """Tell which share of what was said was heard."""
    return sum(each in heard for each in said) / len(said)


class Whispering(TestCase):
    """One engine per test, from its weights to its text."""

    timeout = 60

    async def engine(self) -> Recogniser:
        state = folder(self)
        pool = Workers(reactor, "asr")
        pool.startService()
        self.addCleanup(pool.stopService)
        self.workshop = Workshop(reactor, pool, state, "en")
        engine = Recogniser(Hearing(endpoint=""), self.workshop)
        engine.startService()
        self.addCleanup(engine.stopService)
        await engine.loader.settled()
        return engine

    async def hear(self, engine: Recogniser, pcm: bytes, language: str) -> Transcript:
        utterance = engine.open(language)
        for start in range(0, len(pcm), 1920):
            utterance.feed(pcm[start : start + 1920])
        return await utterance.finish()

    def at_rate(self, pcm: bytes, rate: int) -> bytes:
        samples: bytes = soxr.resample(np.frombuffer(pcm, np.int16), rate, RATE).tobytes()
        return bytes(RATE // 2) + samples + bytes(RATE // 2)

    async def voice(self) -> Callable[[str], Deferred[bytes]]:
        """Make a good English voice."""
        speaker = Speaker(Speaking(endpoint=""), self.workshop)
        speaker.startService()
        self.addCleanup(speaker.stopService)
        await speaker.loaders[0].settled()

        async def say(text: str) -> bytes:
            pieces = [piece async for piece in speaker.speak(text, "en")]
            return self.at_rate(b"".join(pieces), speaker.rate)

        return lambda text: Deferred.fromCoroutine(say(text))

    def understood(self, said: str, heard: Transcript) -> None:
        words = re.findall(r"\w+", heard.text.lower())
        self.assertGreaterEqual(overlap(re.findall(r"\w+", said.lower()), words), 0.8, heard)

    async def test_english_and_chinese(self) -> None:
        """It tells the two languages apart, whatever the user's usual one, and hears both."""
        engine = await self.engine()
        said = "Turn on the light in the kitchen, please."
        english = await (await self.voice())(said)
        for hint in ("en", "zh", ""):
            heard = await self.hear(engine, english, hint)
            self.assertEqual(heard.language, "en")
            self.understood(said, heard)
        said = "你好，请问你能做什么？"
        chinese = self.at_rate(await deferToThread(robot, said, "cmn"), 22050)
        heard = await self.hear(engine, chinese, "zh")
        self.assertEqual(heard.language, "zh")
        characters = re.findall(r"\w", heard.text)
        self.assertGreaterEqual(overlap(re.findall(r"\w", said), characters), 0.6, heard)

    async def test_nobody(self) -> None:
        """Silence and noise, loud or not, long or short, are nobody speaking."""
        engine = await self.engine()
        random = np.random.default_rng(0)
        for seconds, level in ((0.3, 0), (3, 0), (0.3, 300), (3, 30), (3, 300), (12, 3000)):
            noise = random.normal(0, level, int(seconds * RATE)).astype(np.int16)
            heard = await self.hear(engine, noise.tobytes(), "zh")
            self.assertEqual(heard, Transcript("", ""), (seconds, level))
        self.assertEqual((await self.hear(engine, b"", "en")).text, "")

    async def test_at_once(self) -> None:
        """Four people at once are all heard."""
        engine = await self.engine()
        say = await self.voice()
        said = (
            "Turn on the light in the kitchen, please.",
            "Tell me a story about a dragon and a princess.",
            "Please play some music for the whole family.",
            "How far is the moon from the earth?",
        )
        sounds = [await say(each) for each in said]
        waiting = [Deferred.fromCoroutine(self.hear(engine, each, "en")) for each in sounds]
        for each, heard in zip(said, await gatherResults(waiting), strict=True):
            self.understood(each, heard)
