"""An engine on standby: made when it is needed, ended when it is not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.services.streams import collect, play
from tests.services.test_lazy import Slow
from xiaozhi.errors import Absent, ServiceError, Unavailable
from xiaozhi.services.pool import Workers
from xiaozhi.services.standby import UNUSED, Standby


class Engine(Service):
    """Answers and says what is in `script`."""

    languages: Collection[str] = ("en",)
    rate = 8000
    script: tuple[Any, ...] = (b"yes",)
    warmed = 0

    def reply(self, messages: Any, language: str, tools: Any = ()) -> AsyncGenerator[Any, None]:
        return play(self.script)

    def speak(self, sentence: str, language: str) -> AsyncGenerator[Any, None]:
        return play(self.script)

    def warm(self) -> None:
        self.warmed += 1


class StandbyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pool = Slow()
        self.made: list[Engine] = []
        self.lacking = ""
        self.standby = Standby("llm", self.make, cast(Workers, self.pool), self.clock)
        self.standby.startService()
        self.addCleanup(self.standby.stopService)

    def make(self) -> Engine:
        if self.lacking:
            raise Unavailable(self.lacking)
        self.made.append(Engine())
        return self.made[-1]

    def work(self) -> None:
        """Do what waits for a thread."""
        works, self.pool.works = self.pool.works, []
        for work in works:
            work.callback(None)

    def ask(self, language: str = "en") -> Deferred[list[Any]]:
        return Deferred.fromCoroutine(collect(self.standby.reply([], language)))

    def answer(self) -> list[Any]:
        asking = self.ask()
        self.work()
        return self.successResultOf(asking)

    def test_made_when_needed(self) -> None:
        """Nothing is made before the first question; one serves all that come meanwhile."""
        self.assertEqual((self.pool.works, self.standby.languages), ([], ("*",)))
        asking = [self.ask(), self.ask()]
        self.assertEqual(self.made, [])
        self.work()
        self.assertEqual([self.successResultOf(one) for one in asking], [[b"yes"]] * 2)
        (engine,) = self.made
        self.assertEqual((engine.running, self.standby.languages), (1, ("en",)))

    def test_voice(self) -> None:
        """A voice has its rate by the time it speaks."""

        async def speak() -> None:
            async with aclosing(self.standby.speak("hello", "en")) as pieces:
                self.assertEqual(await anext(pieces), b"yes")
                self.assertEqual(self.standby.rate, 8000)

        speaking = Deferred.fromCoroutine(speak())
        self.work()
        self.successResultOf(speaking)

    def test_warm(self) -> None:
        """It is made before the question if somebody says that one is on its way."""
        self.standby.warm()
        self.work()
        self.standby.warm()
        self.assertEqual([engine.warmed for engine in self.made], [2])
        self.assertEqual(self.successResultOf(self.ask()), [b"yes"])

    def test_unused(self) -> None:
        """It is ended ten minutes after its last use, and made again for the next."""
        self.answer()
        for use in (self.answer, self.standby.warm):
            self.clock.advance(UNUSED - 1)
            use()
        self.clock.advance(UNUSED - 1)
        self.assertEqual(self.made[0].running, 1)
        self.clock.advance(1)
        self.assertEqual((self.made[0].running, self.standby.languages), (0, ("en",)))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.answer(), [b"yes"])
        self.assertEqual([engine.running for engine in self.made], [0, 1])

    def test_in_use(self) -> None:
        """An engine at work is not ended, however long it takes."""
        rest: Deferred[None] = Deferred()
        self.answer()
        self.made[0].script = ("a", rest, "b")
        asking = self.ask()
        self.clock.pump([UNUSED] * 3)
        self.assertEqual(self.made[0].running, 1)
        rest.callback(None)
        self.assertEqual(self.successResultOf(asking), ["a", "b"])
        self.clock.advance(UNUSED)
        self.clock.advance(UNUSED)
        self.assertEqual(self.made[0].running, 0)

    def test_unavailable(self) -> None:
        """What it lacks is a failure like others: it is tried again the next time."""
        self.lacking = "no key"
        self.standby.warm()  # says nothing: nobody asked
        self.work()
        asking = self.ask()
        self.work()
        self.assertEqual(self.failureResultOf(asking, ServiceError).value.why, "no key")
        self.lacking = ""
        self.assertEqual(self.answer(), [b"yes"])

    def test_a_mistake_of_its_own(self) -> None:
        """An engine that is broken is told of in the log if nobody asked for it."""
        self.patch(self, "made", None)
        self.standby.warm()
        self.work()
        (failure,) = self.flushLoggedErrors(AttributeError)
        self.assertIn("append", str(failure.value))

    def test_language(self) -> None:
        """One that turns out not to do the language leaves it to others, without a failure."""
        asking = self.ask("zh")
        self.work()
        self.failureResultOf(asking, Absent)
        self.assertEqual(self.successResultOf(self.ask("zh")), [b"yes"])  # nobody else is there

    def test_loading(self) -> None:
        """One that does not know its languages yet says itself how far it is."""
        loading = ServiceError("tts", "it is loading")
        self.patch(Engine, "languages", ())
        self.patch(Engine, "script", (loading,))
        asking = self.ask()
        self.work()
        self.assertIs(self.failureResultOf(asking, ServiceError).value, loading)
        self.assertEqual(self.standby.languages, ())

    def test_given_up(self) -> None:
        """Who gives up waiting leaves the engine to the next."""
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.work()
        self.assertEqual(self.made[0].running, 1)
        self.clock.advance(UNUSED)
        self.assertEqual(self.made[0].running, 0)

    def test_stopped(self) -> None:
        """With its list it ends, and what is being made then is never started."""
        self.answer()
        self.clock.advance(UNUSED)
        asking = self.ask()
        self.successResultOf(self.standby.stopService())
        self.work()
        self.failureResultOf(asking, ServiceError)
        self.assertEqual([engine.running for engine in self.made], [0, 0])
        self.standby.startService()
        self.answer()
        self.successResultOf(self.standby.stopService())
        self.assertEqual(self.made[-1].running, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
