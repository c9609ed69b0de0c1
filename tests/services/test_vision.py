"""A vision model behind OpenAI's API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.openai_vision import VisionServer, completion
from tests.pictures import GIF, JPEG, PNG, WEBP
from xiaozhi.errors import Absent, Refused, ServiceError
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.vision import LONGEST, Settings, Vision, kind
from xiaozhi.tooling import Picture

KEY = "sk-secret"
PHOTO = Picture("image/jpeg", JPEG)


class Kinds(SynchronousTestCase):
    def test_signatures(self) -> None:
        """Images are known by their first bytes, whatever they are called."""
        for data, mime in (
            (JPEG, "image/jpeg"),
            (PNG, "image/png"),
            (WEBP, "image/webp"),
            (GIF, "image/gif"),
            (b"RIFF\0\0\0\0WAVE", ""),
            (b"<svg/>", ""),
            (b"", ""),
        ):
            self.assertEqual(kind(data), mime)


class Looking(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.server = VisionServer()
        self.addCleanup(self.server.stop)
        self.clock = Clock()
        pool = Workers(reactor, "vision")
        pool.startService()
        self.addCleanup(pool.stopService)
        self.workshop = Workshop(self.clock, pool, Path(), "en")
        self.vision = self.looks(base_url=self.server.url, api_key=KEY)

    def looks(self, **settings: Any) -> Vision:
        given = {"base_url": "", "api_key": "", "model": "eyes"} | settings
        vision = Vision(Settings(**given), self.workshop)
        vision.startService()
        self.addCleanup(vision.stopService)
        return vision

    async def fails(
        self, looking: Deferred[str], kind: type[ServiceError] = ServiceError
    ) -> ServiceError:
        """Wait for a failure."""
        with self.assertRaises(kind) as caught:
            await looking
        error: ServiceError = caught.exception
        self.assertEqual(error.stage, "vision")
        return error

    async def test_answer(self) -> None:
        """The model is shown the very bytes, asked the question, and told the language."""
        told = await self.vision.describe(PHOTO, "who is there?", "en")
        self.assertEqual(told, "There is a cat.")
        (seen,) = self.server.seen
        self.assertEqual(
            (seen.mime, seen.data, seen.question), ("image/jpeg", JPEG, "who is there?")
        )
        self.assertEqual((seen.key, seen.model), (KEY, "eyes"))
        self.assertIn("Answer in English", seen.prompt)

    async def test_languages(self) -> None:
        """Without a question there is the usual one, in the user's language."""
        for language, question, named in (
            ("zh", "这是什么？", "中文"),
            ("fr", "What is this?", "in fr"),
        ):
            await self.vision.describe(PHOTO, " ", language)
            self.assertEqual(self.server.seen[-1].question, question)
            self.assertIn(named, self.server.seen[-1].prompt)

    async def test_long_answers(self) -> None:
        """An answer is no longer than a device can take."""
        self.server.says = " " + "喵" * 5000
        self.assertEqual(await self.vision.describe(PHOTO, "", "zh"), "喵" * LONGEST)

    async def test_no_answers(self) -> None:
        """What is no answer fails by name."""
        for answer, error, why in (
            (completion(""), ServiceError, "sent what is no answer"),
            (completion(None), ServiceError, "sent what is no answer"),
            (completion("x", "content_filter"), Refused, "its content filter"),
            ({"choices": []}, ServiceError, "sent what is no answer"),
            ({"choices": {}}, ServiceError, "sent what is no answer"),
            ([], ServiceError, "sent what is no answer"),
            (b"<html>", ServiceError, ""),
        ):
            self.server.answer = answer
            failed = await self.fails(self.vision.describe(PHOTO, "", "en"), error)
            self.assertIn(why, failed.why)

    async def test_refusals(self) -> None:
        """An error of the server's is said, without the key."""
        self.server.status, self.server.answer = 401, {"error": {"message": f"bad key {KEY}"}}
        failed = await self.fails(self.vision.describe(PHOTO, "", "en"))
        self.assertIn("the API key was refused", failed.why)
        self.assertNotIn(KEY, failed.why)

    async def test_late(self) -> None:
        """The whole has nine seconds; then the request is given up."""
        self.server.stalls = True
        looking = self.vision.describe(PHOTO, "", "en")
        arrived: Deferred[None] = Deferred()

        def look() -> None:
            if self.server.seen:
                arrived.callback(None)
            else:
                core.callLater(0.01, look)

        core: Any = reactor
        look()
        await arrived
        self.clock.advance(8.9)
        self.assertFalse(looking.called)
        self.clock.advance(0.1)
        failed = await self.fails(looking)
        self.assertEqual(failed.why, "no answer within 9 s")
        await self.server.gone

    async def test_none(self) -> None:
        """Without a model that is said at once; one that is set up later is asked."""
        vision = self.looks()
        self.assertFalse(vision.able)
        failed = await self.fails(vision.describe(PHOTO, "", "en"), Absent)
        self.assertIn("OPENAI_VISION_API_KEY", failed.why)
        vision.heed(Settings(base_url=self.server.url, api_key=KEY))
        self.assertTrue(vision.able)
        self.assertEqual(await vision.describe(PHOTO, "", "en"), "There is a cat.")
        vision.heed(Settings(base_url="", api_key=""))
        await self.fails(vision.describe(PHOTO, "", "en"), Absent)
