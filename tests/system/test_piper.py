"""Piper as it is, with the voice that is installed: sound, odd texts, and company."""

from __future__ import annotations

import numpy as np
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.hub_server import folder
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts.piper import Settings, Speaker


class Speaking(TestCase):
    """One engine, from its weights to its sound."""

    timeout = 60

    async def engine(self, speed: float = 1.0) -> Speaker:
        pool = Workers(reactor, "tts")
        pool.startService()
        self.addCleanup(pool.stopService)
        workshop = Workshop(reactor, pool, folder(self), "en")
        speaker = Speaker(Settings(speed=speed, endpoint=""), workshop)
        speaker.startService()
        self.addCleanup(speaker.stopService)
        await speaker.loaders[0].settled()
        return speaker

    async def say(self, speaker: Speaker, text: str) -> np.ndarray:
        pieces = [piece async for piece in speaker.speak(text, "en")]
        return np.frombuffer(b"".join(pieces), np.int16).astype(float)

    async def test_speech(self) -> None:
        """A sentence lasts and sounds as speech does, and two speeds differ."""
        said = "The weather in Paris is sunny and warm."
        speaker = await self.engine()
        self.assertEqual(speaker.languages, {"en"})
        sound = await self.say(speaker, said)
        self.assertTrue(1.5 < len(sound) / speaker.rate < 3.5, len(sound))
        self.assertGreater(np.sqrt(np.mean(sound**2)), 500)
        quicker = await self.say(await self.engine(speed=1.5), said)
        self.assertLess(len(quicker), 0.85 * len(sound))

    async def test_odd_texts(self) -> None:
        """No text is a failure; one without words is no sound."""
        speaker = await self.engine()
        for text in ("", "   ", "...", "\0", "[[", "\n", "😀😀", "-" * 1000):
            self.assertEqual(len(await self.say(speaker, text)), 0, repr(text))
        for text in ("12345678901234567890", "你好吗", "a[[b]]c", "https://x.y/z?q=1", "A" * 400):
            self.assertGreater(len(await self.say(speaker, text)), 0, text)

    async def test_at_once(self) -> None:
        """Several sentences at once are each spoken whole."""
        speaker = await self.engine()
        said = [f"This is sentence number {number}." for number in range(1, 7)]
        waiting = [Deferred.fromCoroutine(self.say(speaker, each)) for each in said]
        for sound in await gatherResults(waiting):
            self.assertGreater(len(sound) / speaker.rate, 0.8)
