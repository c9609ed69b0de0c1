"""The list of recognisers: who is asked, who takes over, what is said about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.asr import DEADLINES, RATE, SPARE, Recognition, Transcript

SECOND = bytes(RATE * 2)


class Scripted:
    """A recogniser whose utterances write down what is done to them.

    `text` is what it finds: an exception is raised by `finish`, a Deferred is awaited.
    """

    def __init__(self, text: Any = "hello", *languages: str) -> None:
        self.text = text
        self.languages: Collection[str] = languages or ("*",)
        self.refusal: ServiceError | None = None
        self.log: list[str] = []

    def open(self, language: str) -> Scripted:
        if self.refusal is not None:
            raise self.refusal
        self.log.append(f"open {language}")
        return self

    def feed(self, pcm: bytes) -> None:
        self.log.append(f"feed {len(pcm)}")

    async def finish(self) -> Transcript:
        self.log.append("finish")
        if isinstance(self.text, Exception):
            raise self.text
        text = await self.text if isinstance(self.text, Deferred) else self.text
        return Transcript(text, "en")

    def cancel(self) -> None:
        self.log.append("cancel")


class Living(Service, Scripted):
    """A recogniser that is a service."""


GONE = ServiceError("asr", "gone")


class RecognitionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def recognition(self, *engines: Scripted) -> Recognition:
        return Recognition([(f"r{n}", engine) for n, engine in enumerate(engines)], self.clock)

    def hear(self, recognition: Recognition, language: str = "en") -> Deferred[Transcript]:
        hearing = recognition.open(language)
        hearing.feed(b"abcd")
        hearing.feed(b"efgh")
        return Deferred.fromCoroutine(hearing.finish())

    def why(self, heard: Deferred[Any]) -> str:
        return self.failureResultOf(heard, ServiceError).value.why  # type: ignore[no-any-return]

    def test_stream(self) -> None:
        """The first recogniser gets the sound as it comes, and the others nothing."""
        first, second = Scripted(), Scripted()
        heard = self.hear(self.recognition(first, second))
        self.assertEqual(self.successResultOf(heard), Transcript("hello", "en"))
        self.assertEqual(first.log, ["open en", "feed 4", "feed 4", "finish", "cancel"])
        self.assertEqual(second.log, [])

    def test_language(self) -> None:
        """The first that can do the language is asked."""
        english, chinese = Scripted("hello", "en"), Scripted("你好", "zh")
        heard = self.hear(self.recognition(english, chinese), "zh")
        self.assertEqual(self.successResultOf(heard).text, "你好")
        self.assertEqual(english.log, [])

    def test_language_nobody_knows(self) -> None:
        """If nobody can do the language, the first recogniser guesses."""
        heard = self.hear(self.recognition(Scripted("one", "en"), Scripted("two", "zh")), "vi")
        self.assertEqual(self.successResultOf(heard).text, "one")

    def test_unable_do_not_follow_able(self) -> None:
        """Where somebody can do the language, those who cannot do not make words up."""
        heard = self.hear(self.recognition(Scripted(GONE, "zh"), Scripted("hi", "en")), "zh")
        self.assertEqual(self.why(heard), "r0: gone")

    def test_able_are_not_there(self) -> None:
        """Where nobody who can do the language is there, the others guess: better than nothing."""
        chinese, english = Scripted("你好", "zh"), Scripted("hello", "en")
        chinese.refusal = GONE
        heard = self.hear(self.recognition(chinese, english), "zh")
        self.assertEqual(self.successResultOf(heard).text, "hello")
        self.assertEqual(english.log, ["open zh", "feed 8", "finish", "cancel"])

    def test_failure(self) -> None:
        """When one fails the next is given all that was said."""
        first, second = Scripted(GONE), Scripted("yes")
        heard = self.hear(self.recognition(first, second))
        self.assertEqual(self.successResultOf(heard).text, "yes")
        self.assertIn("cancel", first.log)
        self.assertEqual(second.log, ["open en", "feed 8", "finish", "cancel"])

    def test_refusal(self) -> None:
        """One that cannot serve at all is passed over at once."""
        first, second = Scripted(), Scripted("yes")
        first.refusal = GONE
        heard = self.hear(self.recognition(first, second))
        self.assertEqual(self.successResultOf(heard).text, "yes")
        self.assertEqual(second.log, ["open en", "feed 4", "feed 4", "finish", "cancel"])

    def test_mistake(self) -> None:
        """One with a mistake of its own is one that failed, whenever it makes it."""
        for when in ("open", "finish"):
            first, second = Scripted(ZeroDivisionError()), Scripted("hello again")
            if when == "open":
                self.patch(first, "open", lambda language: 1 / 0)
            heard = self.hear(self.recognition(first, second))
            self.assertEqual(self.successResultOf(heard).text, "hello again")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_all_fail(self) -> None:
        """When all fail, who says so says why of each."""
        heard = self.hear(self.recognition(Scripted(GONE), Scripted(ServiceError("asr", "full"))))
        self.assertEqual(self.why(heard), "r0: gone; r1: full")

    def test_none_opens(self) -> None:
        """If none can serve, that is said at the end; so it is if there is none."""
        engine = Scripted()
        engine.refusal = GONE
        self.assertEqual(self.why(self.hear(self.recognition(engine))), "r0: gone")
        self.assertEqual(self.why(self.hear(self.recognition())), "there is no recogniser")

    def test_ready_in_time(self) -> None:
        """One that could not serve when the user began may at the end: it is given everything."""
        engine = Scripted("yes")
        engine.refusal = GONE
        hearing = self.recognition(engine).open("en")
        hearing.feed(b"abcd")
        engine.refusal = None
        hearing.feed(b"efgh")
        heard = Deferred.fromCoroutine(hearing.finish())
        self.assertEqual(self.successResultOf(heard).text, "yes")
        self.assertEqual(engine.log, ["open en", "feed 8", "finish", "cancel"])

    def test_deadline(self) -> None:
        """One that does not answer is given up, later the longer the utterance was."""
        slow, second = Scripted(Deferred()), Scripted("late")
        recognition = self.recognition(slow, second)
        hearing = recognition.open("en")
        for _ in range(10):
            hearing.feed(SECOND)
        heard = Deferred.fromCoroutine(hearing.finish())
        self.clock.advance(DEADLINES.first + 9.9)
        self.assertNoResult(heard)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(heard).text, "late")
        self.assertEqual(slow.log[-1], "cancel")

    def test_bound(self) -> None:
        """A minute is kept for the next; the first hears everything."""
        first, second = Scripted(GONE), Scripted()
        hearing = self.recognition(first, second).open("en")
        for _ in range(61):
            hearing.feed(SECOND)
        self.successResultOf(Deferred.fromCoroutine(hearing.finish()))
        self.assertEqual(first.log.count("feed 32000"), 61)
        self.assertIn("feed 1920000", second.log)

    def test_cancel(self) -> None:
        """Cancelling reaches the recogniser and ends who waits; no other one is asked."""
        slow, second = Scripted(Deferred()), Scripted()
        hearing = self.recognition(slow, second).open("en")
        heard = Deferred.fromCoroutine(hearing.finish())
        hearing.cancel()
        hearing.cancel()
        self.failureResultOf(heard, CancelledError)
        self.assertIn("cancel", slow.log)
        hearing.feed(SECOND)
        self.assertNotIn("feed 32000", slow.log)
        self.assertEqual((second.log, self.clock.getDelayedCalls()), ([], []))

    def test_cancelled_wait(self) -> None:
        """Cancelling the wait for the text releases the recogniser."""
        slow = Scripted(Deferred())
        heard = self.hear(self.recognition(slow))
        heard.cancel()
        self.failureResultOf(heard, CancelledError)
        self.assertEqual(slow.log[-1], "cancel")

    def test_rests(self) -> None:
        """A recogniser that failed is not asked at the next utterance."""
        first = Scripted(GONE)
        recognition = self.recognition(first, Scripted("yes"))
        for _ in range(3):
            self.assertEqual(self.successResultOf(self.hear(recognition)).text, "yes")
        self.assertEqual(first.log.count("finish"), 1)

    def test_spare(self) -> None:
        """While some recognitions are under way there is no time for what may be in vain."""
        engine = Scripted()
        recognition = self.recognition(engine)
        hearings = []
        for _ in range(SPARE):
            self.assertTrue(recognition.spare)
            engine.text = Deferred()
            hearings.append(self.hear(recognition))
        self.assertFalse(recognition.spare)
        hearings[0].cancel()
        self.failureResultOf(hearings[0], CancelledError)
        self.assertTrue(recognition.spare)

    def test_long_text(self) -> None:
        """A text that nobody can have said in a minute is cut."""
        heard = self.hear(self.recognition(Scripted("blah " * 10_000)))
        self.assertEqual(len(self.successResultOf(heard).text), 4000)

    def test_probe(self) -> None:
        """A recogniser is probed with a second of almost nothing; any text will do."""
        engine = Scripted("")
        self.successResultOf(Deferred.fromCoroutine(self.recognition().probe(engine)))
        self.assertEqual(engine.log, ["open ", "feed 32000", "finish", "cancel"])
        engine.text = GONE
        probing = Deferred.fromCoroutine(self.recognition().probe(engine))
        self.assertEqual(self.why(probing), "gone")

    def test_services(self) -> None:
        """Recognisers that are services start and stop with the list."""
        engine = Living()
        recognition = self.recognition(engine, Scripted())
        recognition.startService()
        self.assertTrue(engine.running)
        self.successResultOf(recognition.stopService())
        self.assertFalse(engine.running)

    def test_lineup(self) -> None:
        """The list says who is in it."""
        recognition = self.recognition(Scripted("", "zh", "en"), Scripted())
        self.assertEqual(recognition.lineup, [("r0", ("zh", "en")), ("r1", ("*",))])
