"""What every voice promises."""

from __future__ import annotations

import array
import re
from contextlib import aclosing
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from tests.services.streams import StreamTestCase, collect
from xiaozhi.errors import ServiceError
from xiaozhi.services.tts import Speaker

SENTENCE = "Hello, how are you?"
MIXED = "我用Python写代码，3.14和50%都很好！OK?"
ODD = (
    "",
    " \t\n\u3000",
    "...?!。！",
    "😀👍🏽👨‍👩‍👧 ❤️",
    "\0\x01\x1b[31m",
    "a\0b\x01c",
    "[[h@'loU]] <break/> &amp; \\",
    "\ud800",
    "\u202e\ufeff\ufffd",
    "x" * 5000,
    "啊" * 1500,
    "1" * 1000,
    "-" * 1000,
    "مرحبا नमस्ते สวัสดี Привет",
)


def loudest(pcm: bytes) -> int:
    """Return the biggest sample."""
    return max(map(abs, array.array("h", pcm)), default=0)


class TtsTestCase(StreamTestCase):
    stage = "tts"

    async def failure(self, speaker: Speaker, sentence: str = SENTENCE) -> str:
        """Return why the voice fails."""
        with self.assertRaises(ServiceError) as caught:
            await collect(speaker.speak(sentence, "en"))
        self.assertEqual(caught.exception.stage, "tts")
        return str(caught.exception.why)


class SpeakerContract(TtsTestCase):
    """To inherit: `speaker` makes one that speaks."""

    def speaker(self, **settings: Any) -> Speaker:
        raise NotImplementedError

    async def test_sound(self) -> None:
        """A sentence is sound: pieces of whole samples, and not silence."""
        pieces = await collect(self.speaker().speak(SENTENCE, "en"))
        self.assertTrue(all(piece and len(piece) % 2 == 0 for piece in pieces))
        self.assertGreater(loudest(b"".join(pieces)), 3000)

    async def test_rate(self) -> None:
        """The sample rate is known before anything is spoken."""
        self.assertIn(self.speaker().rate, range(8000, 48001))

    async def test_languages(self) -> None:
        """It says which languages it can do, as primary subtags or all."""
        self.assertTrue(self.speaker().languages)
        for language in self.speaker().languages:
            self.assertTrue(language == "*" or re.fullmatch("[a-z]{2,3}", language), language)

    async def test_mixed(self) -> None:
        """A Chinese sentence with English words and numbers is sound."""
        pcm = b"".join(await collect(self.speaker().speak(MIXED, "zh")))
        self.assertGreater(loudest(pcm), 3000)
        self.assertEqual(len(pcm) % 2, 0)

    async def test_odd(self) -> None:
        """Whatever the text, there is sound, or none, or a ServiceError."""
        speaker = self.speaker()
        for text in ODD:
            for language in ("zh", "en"):
                try:
                    pieces = await collect(speaker.speak(text, language))
                except ServiceError as error:
                    self.assertEqual(error.stage, "tts")
                else:
                    self.assertTrue(all(len(piece) % 2 == 0 for piece in pieces))

    async def test_nothing(self) -> None:
        """A text without a word is not spoken, and that is no failure."""
        for text in ODD[:4]:
            self.assertEqual(await collect(self.speaker().speak(text, "zh")), [])

    async def test_many_at_once(self) -> None:
        """Sentences spoken at the same time do not disturb each other."""
        speaker = self.speaker()
        alone = b"".join(await collect(speaker.speak(SENTENCE, "en")))
        spoken = [Deferred.fromCoroutine(collect(speaker.speak(SENTENCE, "en"))) for _ in range(8)]
        for pieces in await gatherResults(spoken):
            self.assertApproximates(len(b"".join(pieces)) / len(alone), 1, 0.02)

    async def test_close(self) -> None:
        """A sentence can be closed after its first piece, and the next be spoken."""
        speaker = self.speaker()
        async with aclosing(speaker.speak(SENTENCE, "en")) as pieces:
            async for piece in pieces:
                self.assertTrue(piece)
                break
        self.assertTrue(await collect(speaker.speak(SENTENCE, "en")))

    async def test_close_unread(self) -> None:
        """A sentence that nobody hears can be closed."""
        await self.speaker().speak(SENTENCE, "en").aclose()

    async def test_cancel(self) -> None:
        """A sentence can be cancelled before its first piece."""
        speaker = self.speaker()
        first = Deferred.fromCoroutine(collect(speaker.speak(SENTENCE, "en")))
        first.cancel()
        with self.assertRaises(CancelledError):
            await first
        self.assertTrue(await collect(speaker.speak(SENTENCE, "en")))
