"""OpenAI-compatible transcription, against a server on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.faulty import Fault, FaultyServer
from tests.openai_asr import STALL, Asked, TranscriptionServer
from tests.services.asr.contract import RecogniserContract, pour
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.asr import RATE, Transcript
from xiaozhi.services.asr.openai import LONGEST, Recogniser, Settings
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers

KEY = "sk-very-secret"
SPEECH = bytes(range(200)) * 160


class OpenAITests(RecogniserContract, TestCase):
    timeout = 20
    speech = SPEECH

    def setUp(self) -> None:
        self.server = TranscriptionServer(" 你好 hello ", KEY)
        self.addCleanup(self.server.stop)
        self.pool = Workers(reactor, "asr")
        self.pool.startService()
        self.addCleanup(self.pool.stopService)
        self.recogniser = self.made()

    def made(self, **settings: Any) -> Recogniser:
        settings = {"base_url": self.server.url, "api_key": KEY} | settings
        workshop = Workshop(reactor, self.pool, Path("state"), "en")
        recogniser = Recogniser(Settings(**settings), workshop)
        recogniser.startService()
        self.addCleanup(recogniser.stopService)
        return recogniser

    async def why(self, recogniser: Recogniser | None = None) -> str:
        """Return why recognition failed, and check that it tells no secret."""
        utterance = pour((recogniser or self.recogniser).open("en"), SPEECH)
        waiting = Deferred.fromCoroutine(utterance.finish())
        error = await self.assertFailure(waiting, ServiceError)
        self.assertEqual(error.stage, "asr")
        self.assertNotIn("secret", error.why)
        return str(error.why).removeprefix(f"{self.server.url}, whisper-1: ")

    async def test_request(self) -> None:
        """A WAV file, the model and the user's language are sent; the text comes back."""
        transcript = await pour(self.made(hint=True).open("zh"), SPEECH).finish()
        self.assertEqual(transcript, Transcript("你好 hello", "zh"))
        self.assertEqual(self.server.asked, [Asked("whisper-1", "zh", "json", RATE, SPEECH)])

    async def test_no_hint(self) -> None:
        """The language can be left to the server; then it is not known."""
        recogniser = self.made(model="gpt-4o-transcribe")
        transcript = await pour(recogniser.open("zh"), SPEECH).finish()
        self.assertEqual(transcript.language, "")
        asked = self.server.asked[0]
        self.assertEqual((asked.model, asked.language), ("gpt-4o-transcribe", None))

    async def test_short(self) -> None:
        """What is shorter than the service takes is not sent."""
        self.assertEqual((await pour(self.recogniser.open("en"), SPEECH[:3000]).finish()).text, "")
        self.assertEqual(self.server.asked, [])

    async def test_long(self) -> None:
        """At most a minute is sent."""
        utterance = self.recogniser.open("en")
        for _ in range(61):
            utterance.feed(SPEECH)
        await utterance.finish()
        self.assertEqual(len(self.server.asked[0].pcm), LONGEST)

    async def test_no_key(self) -> None:
        """A server of one's own needs no key."""
        self.server.key = "none"
        self.assertTrue((await pour(self.made(api_key="").open("en"), SPEECH).finish()).text)

    async def test_wrong_key(self) -> None:
        """A key that is refused is said, but not shown."""
        refused = await self.why(self.made(api_key="sk-secret-2"))
        self.assertEqual(refused, "HTTP 401, the API key was refused")

    async def test_statuses(self) -> None:
        """What the server refuses is told at once, without a second try."""
        for status in (400, 404, 429, 500, 503):
            self.server.asked.clear()
            self.server.answer = (status, "application/json", '{"error": {"message": "no"}}')
            self.assertEqual(await self.why(), f"HTTP {status}, no")
            self.assertEqual(len(self.server.asked), 1)

    async def test_nonsense(self) -> None:
        """An answer that is no transcription is an error."""
        for kind, body in (
            ("application/json", "{"),
            ("application/json", '{"words": 3}'),
            ("application/json", '{"text": null}'),
            ("application/json", "[]"),
            ("application/json", ""),
            ("text/html", "<h1>Welcome</h1>"),
        ):
            self.server.answer = (200, kind, body)
            self.assertRegex(await self.why(), "no transcription|makes no sense", body)

    async def test_silent_server(self) -> None:
        """A server that does not answer is given up, and told so."""
        self.server.answer = STALL
        self.assertEqual(await self.why(self.made(timeout_s=0.2)), "timed out")
        await self.server.gone

    async def test_trickle(self) -> None:
        """A server that is never silent, and never done, fails after the time it may take."""
        server = FaultyServer("asr.openai", Fault.TRICKLE)
        self.addCleanup(server.stop)
        recogniser = self.made(base_url=f"http://{server.address}/v1", timeout_s=0.1)
        self.assertIn("not done within", await self.why(recogniser))

    async def test_kept(self) -> None:
        """Ten utterances, one after the other, go over one connection."""
        for _ in range(10):
            await pour(self.recogniser.open("en"), SPEECH).finish()
        self.assertEqual(self.server.connections, 1)

    async def test_no_server(self) -> None:
        """A server that is not there is an error at once."""
        await self.server.stop()
        self.assertIn("connection attempts failed", await self.why())

    async def test_cancel_upstream(self) -> None:
        """Cancelling breaks the request off, and the server sees it."""
        self.server.answer = STALL
        utterance = pour(self.recogniser.open("en"), SPEECH)
        waiting = Deferred.fromCoroutine(utterance.finish())
        waiting.addErrback(lambda _: None)
        await self.server.came
        utterance.cancel()
        await waiting
        await self.server.gone

    async def test_stop(self) -> None:
        """Stopping closes the connections; a request on its way fails."""
        await pour(self.recogniser.open("en"), SPEECH).finish()
        await self.recogniser.stopService()
        self.assertFalse(self.recogniser.running)


class Making(SynchronousTestCase):
    def make(self, **settings: Any) -> Recogniser:
        workshop = Workshop(Clock(), Workers(Clock(), "asr"), Path("state"), "en")
        return Recogniser(Settings(**({"base_url": "", "api_key": ""} | settings)), workshop)

    def test_unavailable(self) -> None:
        """With nothing to connect to, the engine says what it lacks."""
        with self.assertRaisesRegex(Unavailable, "OPENAI_ASR_API_KEY"):
            self.make()

    def test_languages(self) -> None:
        """It can all languages unless it is told which."""
        self.assertEqual(self.make(api_key=KEY).languages, {"*"})
        self.assertEqual(self.make(api_key=KEY, languages=("zh", "en")).languages, {"zh", "en"})
