"""The engine `gtts`, against Google's interface on loopback."""

from __future__ import annotations

import base64
from contextlib import aclosing
from typing import Any

import gtts.lang
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.google_tts import Asked, Google
from tests.services.streams import collect, within
from tests.services.tts import contract
from tests.services.tts.contract import SENTENCE
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.languages import primary
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts import gtts as engine
from xiaozhi.services.tts.gtts import RATE, Settings, Speaker

LONG = "This is the first half of a sentence that is too long for one request, " * 2


class GttsTests(contract.SpeakerContract):
    def setUp(self) -> None:
        self.google = Google()
        self.addCleanup(self.google.stop)
        self.patch(engine, "ADDRESS", self.google.url)

    def speaker(self, **settings: Any) -> Speaker:
        return self.started(Speaker(Settings(**{"timeout_s": 5.0, **settings}), self.workshop()))

    async def test_request(self) -> None:
        """Google is asked for the text, in its own name of the language."""
        speaker = self.speaker()
        for text, language in (("你好", "zh"), ("hello", "en"), ("שלום", "he"), ("olá", "pt")):
            await collect(speaker.speak(text, language))
        await collect(self.speaker(slow=True).speak("hi", "en"))
        self.assertEqual(
            self.google.asked,
            [
                Asked("你好", "zh-CN", False),
                Asked("hello", "en", False),
                Asked("שלום", "iw", False),
                Asked("olá", "pt", False),
                Asked("hi", "en", True),
            ],
        )

    async def test_length(self) -> None:
        """The MP3 becomes PCM of the same length at the voice's rate."""
        (pcm,) = await collect(self.speaker().speak(SENTENCE, "en"))
        self.assertApproximates(len(pcm) / 2 / RATE, 0.5, 0.1)

    async def test_long(self) -> None:
        """The first part of a long sentence is spoken before the next is asked for."""
        async with aclosing(self.speaker().speak(LONG, "en")) as pieces:
            await anext(pieces)
            self.assertEqual(len(self.google.asked), 1)
            self.assertTrue(await collect(pieces))
        self.assertGreater(len(self.google.asked), 1)
        words = " ".join(asked.text for asked in self.google.asked).replace(",", "").split()
        self.assertEqual(words, LONG.replace(",", "").split())

    async def test_closed(self) -> None:
        """After a sentence is closed nothing more is asked for."""
        async with aclosing(self.speaker().speak(LONG, "en")) as pieces:
            await anext(pieces)
        self.assertEqual(len(self.google.asked), 1)

    async def test_cancelled_request(self) -> None:
        """A sentence can be cancelled while Google keeps silent."""
        self.google.stalls = True
        speech = Deferred.fromCoroutine(collect(self.speaker().speak("hi", "en")))
        await within(self.google.came)
        speech.cancel()
        with self.assertRaises(CancelledError):
            await speech
        await within(self.google.gone)

    async def test_nothing_is_sent_for_nothing(self) -> None:
        """A text without a word is not sent."""
        for text in ("", " ", "...", "😀"):
            await collect(self.speaker().speak(text, "en"))
        self.assertEqual(self.google.asked, [])

    async def test_refusal(self) -> None:
        """An HTTP error is a ServiceError with its number."""
        self.google.status = 429
        self.assertEqual("Google: HTTP 429", await self.failure(self.speaker()))

    async def test_no_connection(self) -> None:
        """A connection that is refused is a ServiceError."""
        await self.google.stop()
        self.assertIn("connection attempts failed", await self.failure(self.speaker()))

    async def test_silence(self) -> None:
        """An answer that does not come in time is a ServiceError."""
        self.google.stalls = True
        self.assertIn("within 0.05 s", await self.failure(self.speaker(timeout_s=0.05)))

    async def test_unknown_language(self) -> None:
        """A language that Google does not speak is a ServiceError."""
        speaker = self.speaker()
        with self.assertRaisesRegex(ServiceError, "without sound|No audio"):
            await collect(speaker.speak("hi", "xx"))

    async def test_garbage(self) -> None:
        """What is no answer, no base64, no MP3 or no text is a ServiceError."""
        for raw in (
            b"",
            b"<html>Before you continue</html>",
            b'["wrb.fr","jQ1olc","[\\"A\\"]",null]',
            b'["wrb.fr","jQ1olc","[\\"' + base64.b64encode(b"no sound") + b'\\"]",null]',
            b'["wrb.fr","jQ1olc","[\\"\xff\\"]",null]',
            b'["wrb.fr","jQ1olc","[\\"\xc3\xa4\\"]",null]',
        ):
            self.google.raw = raw
            self.assertTrue(await self.failure(self.speaker()))

    async def test_all_languages(self) -> None:
        """It offers the languages that the package lists, by the names they have now."""
        renamed = {"iw": "he", "jw": "jv", "tl": "fil"}
        listed = {renamed.get(tag, primary(tag)) for tag in gtts.lang.tts_langs()}
        self.assertEqual(set(self.speaker().languages), listed)


class MissingTests(SynchronousTestCase):
    def test_no_package(self) -> None:
        """Without a package it says what to install."""
        for name in ("gTTS", "miniaudio", "httpx2"):
            self.patch(
                engine, "find_spec", lambda module, name=name: module != name.lower() or None
            )
            with self.assertRaises(Unavailable) as caught:
                Speaker(Settings(), Workshop(None, Workers(None, "tts"), None, "en"))  # type: ignore[arg-type]
            self.assertIn(f"pip install {name}", str(caught.exception))
