"""What every recogniser keeps to, whatever it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.trial.unittest import TestCase

from xiaozhi.services.asr import RATE, Transcript, Utterance

FRAME = RATE * 2 * 60 // 1000


def pour(utterance: Utterance, pcm: bytes) -> Utterance:
    """Feed `pcm` as a device sends it: 60 ms at a time."""
    for start in range(0, len(pcm), FRAME):
        utterance.feed(pcm[start : start + FRAME])
    return utterance


class RecogniserContract:
    """Inherit it beside TestCase; `setUp` leaves a running recogniser in `recogniser`."""

    if TYPE_CHECKING:
        case = TestCase()
        assertTrue = case.assertTrue
        assertEqual = case.assertEqual
        assertIsInstance = case.assertIsInstance
        assertFailure: Any = case.assertFailure

    recogniser: Any
    speech = bytes(RATE)
    """English, in which the recogniser hears something."""

    async def test_languages(self) -> None:
        """It says what it can: primary subtags, or all."""
        self.assertTrue(self.recogniser.languages)
        for language in self.recogniser.languages:
            self.assertEqual(language, language.lower())
            self.assertTrue(language == "*" or len(language) in (2, 3))

    async def test_recognises(self) -> None:
        """Speech becomes a Transcript with a text, and its language if that is known."""
        transcript = await pour(self.recogniser.open("en"), self.speech).finish()
        self.assertIsInstance(transcript, Transcript)
        self.assertTrue(transcript.text.strip())
        self.assertTrue(transcript.language in ("", "en"))

    async def test_nothing(self) -> None:
        """Of no sound at all the text is empty."""
        self.assertEqual((await self.recogniser.open("en").finish()).text, "")

    async def test_no_language(self) -> None:
        """The user's language need not be known."""
        transcript = await pour(self.recogniser.open(""), self.speech).finish()
        self.assertTrue(transcript.text)

    async def test_many(self) -> None:
        """Utterances at the same time do not disturb each other."""
        utterances = [pour(self.recogniser.open("en"), self.speech) for _ in range(4)]
        found = await gatherResults([Deferred.fromCoroutine(u.finish()) for u in utterances])
        self.assertEqual(len({transcript.text for transcript in found}), 1)

    async def test_cancel(self) -> None:
        """An utterance can be cancelled at any time, and again; the next is not disturbed."""
        self.recogniser.open("en").cancel()
        utterance = pour(self.recogniser.open("en"), self.speech)
        utterance.cancel()
        utterance.cancel()
        utterance.feed(bytes(FRAME))
        done = pour(self.recogniser.open("en"), self.speech)
        self.assertTrue((await done.finish()).text)
        done.cancel()

    async def test_cancel_finish(self) -> None:
        """Cancelling an utterance ends who waits for its text; so does cancelling the wait."""
        utterance = pour(self.recogniser.open("en"), self.speech)
        waiting = Deferred.fromCoroutine(utterance.finish())
        utterance.cancel()
        await self.assertFailure(waiting, CancelledError)
        utterance = pour(self.recogniser.open("en"), self.speech)
        waiting = Deferred.fromCoroutine(utterance.finish())
        waiting.cancel()
        await self.assertFailure(waiting, CancelledError)
        utterance.cancel()
        self.assertTrue((await pour(self.recogniser.open("en"), self.speech).finish()).text)
