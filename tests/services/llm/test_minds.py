"""The list of models: who is asked, who takes over, what is said about it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.services.llm.contract import ASKED, TIME
from tests.services.streams import collect, play
from xiaozhi.errors import ServiceError
from xiaozhi.services.llm import DEADLINES, LONGEST, MOST_CALLS, Message, Minds, Piece
from xiaozhi.tooling import Call, Tool


class Scripted:
    """Answers with `script`: a str is a piece, an exception is raised, a Deferred awaited."""

    def __init__(self, *script: Any, languages: Collection[str] = ("*",)) -> None:
        self.script = script
        self.languages = languages
        self.asked: list[tuple[Sequence[Message], str]] = []
        self.offered: Sequence[Tool] = ()
        self.closed = 0

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        self.asked.append((messages, language))
        self.offered = tools
        try:
            async with aclosing(play(self.script)) as steps:
                async for step in steps:
                    yield step
        finally:
            self.closed += 1


class Living(Service, Scripted):
    """A model that is a service."""


GONE = ServiceError("llm", "gone")


class MindsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def minds(self, *models: Any) -> Minds:
        return Minds([(f"m{number}", model) for number, model in enumerate(models)], self.clock)

    def ask(self, minds: Minds, language: str = "en") -> Deferred[list[Piece]]:
        return Deferred.fromCoroutine(collect(minds.reply(ASKED, language)))

    def asked(self, *models: Any) -> Deferred[list[Any]]:
        """Ask with a tool."""
        return Deferred.fromCoroutine(collect(self.minds(*models).reply(ASKED, "en", [TIME])))

    def heard(self, *models: Any, language: str = "en") -> list[Piece]:
        return self.successResultOf(self.ask(self.minds(*models), language))

    def failed(self, *models: Any) -> str:
        failure = self.failureResultOf(self.ask(self.minds(*models)), ServiceError)
        return str(failure.value.why)

    def test_first(self) -> None:
        """The first model answers, as it pleases, and no other is asked."""
        other = Scripted("no")
        self.assertEqual(self.heard(Scripted("Well", " ", "yes"), other), ["Well", " ", "yes"])
        self.assertEqual(other.asked, [])

    def test_half_a_character(self) -> None:
        """Half an emoji, as some servers send it, breaks nothing further on."""
        self.assertEqual(self.heard(Scripted("hi \ud83d")), ["hi ?"])

    def test_passes_on(self) -> None:
        """A model is given the conversation and the language."""
        model = Scripted("hm")
        self.heard(model, language="fr")
        self.assertEqual(model.asked, [(ASKED, "fr")])

    def test_language(self) -> None:
        """The first one that can do the language is asked, wherever it stands."""
        english, chinese = Scripted("yes", languages={"en"}), Scripted("好", languages={"zh"})
        self.assertEqual(self.heard(english, chinese, language="zh"), ["好"])
        self.assertEqual(self.heard(english, chinese, language="fr"), ["yes"])
        self.assertEqual(self.heard(Scripted(GONE), english, chinese, language="zh"), ["好"])

    def test_last_resort(self) -> None:
        """One that cannot do the language is asked when all that can have failed."""
        self.assertEqual(
            self.heard(Scripted("yes", languages={"en"}), Scripted(GONE), language="zh"), ["yes"]
        )

    def test_takes_over(self) -> None:
        """When one fails before its first piece, the next answers at once."""
        self.assertEqual(self.heard(Scripted(GONE), Scripted(GONE), Scripted("here")), ["here"])

    def test_empty(self) -> None:
        """An answer without words is a failure."""
        self.assertEqual(self.heard(Scripted(), Scripted(" ", "\n"), Scripted("here")), ["here"])
        self.assertEqual(self.heard(Scripted(" ", "here", " ")), [" here", " "])

    def test_all_fail(self) -> None:
        """When all have failed, the error says why each did."""
        self.assertEqual(
            self.failed(Scripted(GONE), Scripted()), "m0: gone; m1: the answer was empty"
        )
        self.assertEqual(self.failed(), "there is no language model")

    def test_fails_late(self) -> None:
        """A failure after the first piece is the answer's: nobody else begins again."""
        other = Scripted("no")
        heard: list[Piece] = []

        async def listen() -> None:
            async for piece in self.minds(Scripted("One", GONE), other).reply(ASKED, "en"):
                heard.append(piece)

        self.failureResultOf(Deferred.fromCoroutine(listen()), ServiceError)
        self.assertEqual(heard, ["One"])
        self.assertEqual(other.asked, [])

    def test_slow(self) -> None:
        """A model that says nothing in time is closed and followed by the next."""
        silent = Scripted(Deferred(), "late")
        answer = self.ask(self.minds(silent, Scripted("here")))
        self.clock.advance(DEADLINES.first - 0.1)
        self.assertNoResult(answer)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(answer), ["here"])
        self.assertEqual(silent.closed, 1)

    def test_stall(self) -> None:
        """A model that stops in the middle of its answer fails."""
        stalling = Scripted("One", Deferred())
        answer = self.ask(self.minds(stalling, Scripted("no")))
        self.clock.advance(DEADLINES.gap + 0.1)
        self.failureResultOf(answer, ServiceError)
        self.assertEqual(stalling.closed, 1)

    def test_cancel(self) -> None:
        """Cancelling who waits closes the model, and asks no other."""
        silent, other = Scripted(Deferred()), Scripted("no")
        answer = self.ask(self.minds(silent, other))
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual((silent.closed, other.asked), (1, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """Closing the answer closes the model's."""
        model = Scripted("One", "Two")

        async def read() -> None:
            async with aclosing(self.minds(model).reply(ASKED, "en")) as pieces:
                await anext(pieces)

        self.successResultOf(Deferred.fromCoroutine(read()))
        self.assertEqual(model.closed, 1)

    def test_rests(self) -> None:
        """A model that failed is not asked at the next question."""
        model = Scripted(GONE)
        minds = self.minds(model, Scripted("here"))
        for _ in range(3):
            self.assertEqual(self.successResultOf(self.ask(minds)), ["here"])
        self.assertEqual(len(model.asked), 1)

    def test_thoughts_are_no_answer(self) -> None:
        """What nobody will hear is no answer yet: another model can still take over."""
        thinking = Scripted("<think>", "well, hm", "</think>", GONE)
        self.assertEqual(self.heard(thinking, Scripted("here")), ["here"])
        silent = Scripted("<think>well</think>", " ", "🙂")
        self.assertEqual(self.heard(silent, Scripted("here")), ["here"])
        decided = Scripted("<think>hm</think>", "Yes, ", "so it is.")
        self.assertEqual("".join(map(str, self.heard(decided))), "Yes, so it is.")

    def test_calls(self) -> None:
        """A call is an answer: nobody takes over after it. Each has an id."""
        other = Scripted("no")
        answer = self.asked(Scripted(" ", Call("7", "get_time"), Call("", "get_time")), other)
        blank, *calls = self.successResultOf(answer)
        self.assertEqual(blank, " ")
        self.assertEqual([call.name for call in calls], ["get_time"] * 2)
        self.assertEqual(calls[0].id, "7")
        self.assertRegex(calls[1].id, "^[0-9a-f]{9}$")
        self.failureResultOf(self.asked(Scripted(Call("7", "get_time"), GONE), other), ServiceError)
        self.assertEqual(other.asked, [])

    def test_offered(self) -> None:
        """Whoever is asked is told the tools."""
        for model in (first := Scripted(GONE), second := Scripted("hm")):
            self.assertEqual(model.offered, ())
        self.successResultOf(self.asked(first, second))
        self.assertEqual((first.offered, second.offered), ([TIME], [TIME]))

    def test_written_calls(self) -> None:
        """What a model writes as a call is one, and is not said."""
        model = Scripted("I look. <tool", '_call>{"name": "get_time"}</tool_call>', " So.")
        said, call, *rest = self.successResultOf(self.asked(model))
        self.assertEqual((said, rest), ("I look. ", [" So."]))
        self.assertEqual(call.name, "get_time")
        (call,) = self.successResultOf(
            self.asked(Scripted('{"name": "get_time"', ', "city": "x"}'))
        )
        self.assertEqual(call.arguments, {"city": "x"})

    def test_calls_of_nothing(self) -> None:
        """Without tools a call is no answer, however it comes; nor is one that breaks off."""
        written = "<tool_call>" + '{"name": "get_time"}' + "</tool_call>"
        for model in (Scripted(written), Scripted(Call("7", "get_time")), Scripted(written[:20])):
            self.assertEqual(self.heard(model, Scripted("here")), ["here"])
        self.assertEqual(
            self.successResultOf(self.asked(Scripted(written[:20]), Scripted("here"))), ["here"]
        )

    def test_endless_calls(self) -> None:
        """Calls without end are ended."""
        calls = [Call(str(number), "get_time") for number in range(MOST_CALLS + 1)]
        failure = self.failureResultOf(self.asked(Scripted(*calls)), ServiceError)
        self.assertEqual(failure.value.why, "the answer has no end")

    def test_endless(self) -> None:
        """An answer without end is ended: before it began by the next model, else by an error."""
        self.assertEqual(self.heard(Scripted(*["<think>"] * 4000), Scripted("here")), ["here"])
        babble = Scripted(*["on and on. "] * (LONGEST // 10))
        self.assertEqual(self.failed(babble), "the answer has no end")

    def test_probe(self) -> None:
        """A model is probed with a greeting, and closed when it has said enough."""
        for model in (Scripted("Hello to you."), Scripted(*["Hello to you. "] * 20, Deferred())):
            self.successResultOf(Deferred.fromCoroutine(self.minds().probe(model)))
            self.assertEqual(model.closed, 1)
        for model in (Scripted(GONE), Scripted("Hello", GONE)):
            probing = Deferred.fromCoroutine(self.minds().probe(model))
            self.failureResultOf(probing, ServiceError)

    def test_lineup(self) -> None:
        """The line-up tells the models in order with their languages."""
        minds = self.minds(Scripted(languages={"en"}), Scripted())
        self.assertEqual(minds.lineup, [("m0", {"en"}), ("m1", ("*",))])

    def test_services(self) -> None:
        """A model that is a service starts and stops with the list."""
        model = Living("hm")
        minds = self.minds(Scripted("no"), model)
        minds.startService()
        self.assertTrue(model.running)
        minds.stopService()
        self.assertFalse(model.running)
