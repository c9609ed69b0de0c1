"""What every language model promises."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from tests.services.streams import StreamTestCase, collect
from xiaozhi.errors import ServiceError
from xiaozhi.services.llm import Message, Model, Piece
from xiaozhi.tooling import Outcome, Scene, Tool


async def _done(arguments: dict[str, Any], scene: Scene) -> Outcome:
    return Outcome("15:05")


TIME = Tool(
    "get_time",
    "Tell the time of a city.",
    _done,
    {"type": "object", "properties": {"city": {"type": "string"}}},
)
"""A tool."""
ASKED = (Message("system", "Be brief."), Message("user", "What is your name?"))


async def first(stream: AsyncIterator[Piece]) -> Piece:
    """Read the next piece of a stream."""
    return await anext(stream)


async def words(stream: AsyncIterator[Piece]) -> str:
    """Read what is said in a stream to its end."""
    return "".join([piece async for piece in stream if isinstance(piece, str)])


class LlmTestCase(StreamTestCase):
    stage = "llm"

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
        said = [piece for piece in pieces if isinstance(piece, str)]
        self.assertEqual((said, all(said)), (pieces, True))
        self.assertTrue("".join(said).strip())

    async def test_languages(self) -> None:
        """It says which languages it can do, as primary subtags or all."""
        self.assertTrue(self.model().languages)
        for language in self.model().languages:
            self.assertTrue(language == "*" or re.fullmatch("[a-z]{2,3}", language))

    async def test_many_at_once(self) -> None:
        """Answers asked for at the same time do not disturb each other."""
        model = self.model()
        answers = [Deferred.fromCoroutine(words(model.reply(ASKED, "en"))) for _ in range(4)]
        for answer in await gatherResults(answers):
            self.assertTrue(answer.strip())

    async def test_close(self) -> None:
        """An answer can be closed after its first piece, and the next question be asked."""
        model = self.model()
        async with aclosing(model.reply(ASKED, "en")) as pieces:
            async for piece in pieces:
                self.assertTrue(piece)
                break
        self.assertTrue(await collect(model.reply(ASKED, "en")))

    async def test_close_unread(self) -> None:
        """An answer that nobody reads can be closed."""
        await self.model().reply(ASKED, "en").aclose()
