"""Summing up what is too old for a model."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.services.streams import play
from xiaozhi.condensing import DEADLINES, MOST, Condensing
from xiaozhi.dialogue import Dialogue
from xiaozhi.errors import Absent, ServiceError
from xiaozhi.tokens import tokens


class CondensingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dialogue = Dialogue(budget=150)
        self.asked: list[tuple[str, str, str]] = []
        self.script: tuple[Any, ...] = ("They talked ", "about the weather.")
        self.condensing = Condensing(self.dialogue, self.think, self.clock)
        self.addCleanup(self.condensing.close)

    def think(self, *asked: str) -> AsyncGenerator[str, None]:
        self.asked.append(asked)  # type: ignore[arg-type]  # three of them
        return play(self.script)

    def talk(self, turns: int = 12) -> None:
        for number in range(turns):
            self.dialogue.ask(f'Question {number}: is <|it|> "fine"?\n', at=float(number))
            self.dialogue.answer(f"Yes, it will be fine, as I have said {number} times.")

    def test_summed_up(self) -> None:
        """What was taken out is summed up, once, in the language of the talk."""
        self.condensing.look()
        self.assertEqual(self.asked, [])
        self.talk()
        self.condensing.look()
        self.assertEqual(self.dialogue.summary, "They talked about the weather.")
        ((_, text, language),) = self.asked
        self.assertNotIn("<|", text)
        told = json.loads(text)
        self.assertEqual((told["summary"], language), ("", "en"))
        self.assertEqual(told["talk"][0], {"user": 'Question 0: is ‹|it|› "fine"?'})
        self.condensing.look()
        self.assertEqual(len(self.asked), 1)

    def test_bounded(self) -> None:
        """Of very much that was taken out, the last is summed up."""
        self.talk(500)
        self.condensing.look()
        ((_, text, _),) = self.asked
        self.assertLess(tokens(text), 1.5 * MOST)
        first = self.dialogue.render()[0].text
        number = int(first.partition(":")[0].split()[1])
        last = json.loads(text)["talk"][-2]["user"]
        self.assertTrue(last.startswith(f"Question {number - 1}:"), last)

    def test_one_at_a_time(self) -> None:
        """While it is done the talk goes on; what is taken out then is summed up next."""
        waiting: Deferred[None] = Deferred()
        self.script = (waiting, "First.")
        self.talk()
        self.condensing.look()
        self.talk()
        self.condensing.look()
        self.assertEqual(len(self.asked), 1)
        waiting.callback(None)
        self.assertTrue(self.dialogue.summary.startswith("First.\nQuestion"))
        self.script = ("<think>First. Hm.</think> Both.",)
        self.condensing.look()
        self.assertEqual(json.loads(self.asked[1][1])["summary"], "First.")
        self.assertEqual(self.dialogue.summary, "Both.")

    def test_fails(self) -> None:
        """Where it fails the extract stays, and it is not tried again before there is more."""
        for script in (
            (ServiceError("llm", "down"),), (Absent("llm", "none"),), (" ",), ("x" * 9000,) * 3,
        ):  # fmt: skip
            self.script = script
            self.talk()
            tried = len(self.asked)
            for _ in range(2):
                self.condensing.look()
            self.assertEqual(len(self.asked), tried + 1)
            self.assertTrue(self.dialogue.summary.startswith("Question"))

    def test_stalls(self) -> None:
        """One that says no more is given up."""
        self.script = ("They", Deferred())
        self.talk()
        self.condensing.look()
        self.clock.advance(DEADLINES.gap)
        self.assertTrue(self.dialogue.summary.startswith("Question"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_mistake(self) -> None:
        """A mistake of ours is told, and disturbs nobody."""
        self.script = (ZeroDivisionError(),)
        self.talk()
        self.condensing.look()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_closed(self) -> None:
        """With the session it ends."""
        cancelled: list[object] = []
        self.script = (Deferred(cancelled.append),)
        self.talk()
        self.condensing.look()
        self.condensing.close()
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_forgotten(self) -> None:
        """What was to be forgotten meanwhile does not come back."""
        waiting: Deferred[None] = Deferred()
        self.script = (waiting, "A secret.")
        self.talk()
        self.condensing.look()
        self.dialogue.forget()
        waiting.callback(None)
        self.assertEqual(self.dialogue.summary, "")
