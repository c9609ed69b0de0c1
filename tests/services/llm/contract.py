"""What every language model promises."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.engine import Workshop
from xiaozhi.services.llm import Message, Model
from xiaozhi.services.pool import Workers

ASKED = (Message("system", "Be brief."), Message("user", "What is your name?"))


async def collect(stream: AsyncIterator[str]) -> list[str]:
    """Read a stream to its end."""
    return [piece async for piece in stream]


async def first(stream: AsyncIterator[str]) -> str:
    """Read the next piece of a stream."""
    return await anext(stream)


def within(event: Deferred[Any], seconds: float = 5.0) -> Deferred[Any]:
    """Wait for `event`, but not for ever."""
    return event.addTimeout(seconds, reactor)


class LlmTestCase(TestCase):
    """Has a workshop on the real reactor; every asyncio task must be over at the end."""

    timeout = 20

    def workshop(self, clock: Any = None) -> Workshop:
        pool = Workers(reactor, "llm")
        pool.startService()
        self.addCleanup(pool.stopService)
        return Workshop(clock or reactor, pool, Path(), "en")

    def started(self, model: Any) -> Any:
        """Start an engine that is a service, until the end of the test."""
        model.startService()
        self.addCleanup(self.no_tasks)
        self.addCleanup(model.stopService)
        return model

    async def no_tasks(self) -> None:
        """Fail if a task lives on. The event loop closes dropped generators a moment later."""
        loop = reactor._asyncioEventloop  # type: ignore[attr-defined]
        for _ in range(50):
            if not asyncio.all_tasks(loop):
                break
            await deferLater(reactor, 0)
        self.assertEqual(asyncio.all_tasks(loop), set())

    async def failure(self, model: Model) -> ServiceError:
        """Return what the model's reply fails with."""
        with self.assertRaises(ServiceError) as caught:
            await collect(model.reply(ASKED, "en"))
        self.assertEqual(caught.exception.stage, "llm")
        error: ServiceError = caught.exception
        return error


class ModelContract(LlmTestCase):
    """To inherit: `model` makes one that answers in words."""

    def model(self, **settings: Any) -> Model:
        raise NotImplementedError

    async def test_pieces(self) -> None:
        """An answer is made of pieces of text, and there is something in it."""
        pieces = await collect(self.model().reply(ASKED, "en"))
        self.assertTrue("".join(pieces).strip())
        self.assertTrue(all(isinstance(piece, str) and piece for piece in pieces))

    async def test_languages(self) -> None:
        """It says which languages it can do, as primary subtags or all."""
        self.assertTrue(self.model().languages)
        for language in self.model().languages:
            self.assertTrue(language == "*" or re.fullmatch("[a-z]{2,3}", language))

    async def test_many_at_once(self) -> None:
        """Answers asked for at the same time do not disturb each other."""
        model = self.model()
        answers = [Deferred.fromCoroutine(collect(model.reply(ASKED, "en"))) for _ in range(4)]
        for answer in await gatherResults(answers):
            self.assertTrue("".join(answer).strip())

    async def test_close(self) -> None:
        """An answer can be closed after its first piece, and the next question be asked."""
        model = self.model()
        async with aclosing(model.reply(ASKED, "en")) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                self.assertTrue(piece)
                break
        self.assertTrue(await collect(model.reply(ASKED, "en")))

    async def test_close_unread(self) -> None:
        """An answer that nobody reads can be closed."""
        await self.model().reply(ASKED, "en").aclose()  # type: ignore[attr-defined]
