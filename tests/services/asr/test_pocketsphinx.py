"""How pocketsphinx decoders are leased, with decoders that write down what they are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.asr import Transcript
from xiaozhi.services.asr._sphinx_process import Decoder
from xiaozhi.services.asr.pocketsphinx import BACKLOG, QUEUE, SECOND, Recogniser, Settings
from xiaozhi.services.engine import Workshop


class FakeDecoder(Decoder):
    """Finds the first letter of what it was fed, times the seconds; `log` is what it was told."""

    command = ("false",)

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self.name = name
        self.log = log
        self.heard = b""
        self.error: ServiceError | None = None

    def note(self, what: str) -> None:
        self.log.append(f"{self.name} {what}")
        if self.error is not None:
            raise self.error

    def begin(self) -> None:
        self.note("begin")
        self.heard = b""

    def feed(self, pcm: bytes) -> None:
        self.note(f"feed {chr(pcm[0])}{len(pcm) / SECOND:g}")
        self.heard += pcm

    def finish(self) -> str:
        self.note("finish")
        return f"{chr(self.heard[0])}{len(self.heard) / SECOND:g}"

    def reset(self) -> None:
        self.note("reset")

    def kill(self) -> None:
        self.log.append(f"{self.name} kill")

    def close(self) -> None:
        self.log.append(f"{self.name} close")


class FakeThreads(Service):
    """Does work at once, or when the test says so."""

    def __init__(self) -> None:
        self.held: list[Callable[[], None]] | None = None

    def run(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()

        def do() -> None:
            try:
                found = work(*args)
            except ServiceError:
                result.errback()
            else:
                result.callback(found)

        if self.held is None:
            do()
        else:
            self.held.append(do)
        return result

    def release(self) -> None:
        held, self.held = self.held or [], None
        for do in held:
            do()


class Leases(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log: list[str] = []
        self.threads = FakeThreads()

    def recogniser(self, decoders: int = 2) -> Recogniser:
        names = iter("ABCD")
        self.decoders: list[FakeDecoder] = []

        def make() -> Decoder:
            self.decoders.append(FakeDecoder(next(names), self.log))
            return self.decoders[-1]

        threads: Any = self.threads
        workshop = Workshop(self.clock, threads, Path("state"), "en")
        engine = Recogniser(Settings(decoders=decoders), workshop, decoder=make, threads=threads)
        engine.startService()
        self.log.clear()
        return engine

    def finish(self, utterance: Any) -> Deferred[Transcript]:
        return Deferred.fromCoroutine(utterance.finish())

    def text(self, finished: Deferred[Transcript]) -> str:
        return self.successResultOf(finished).text

    def why(self, finished: Deferred[Transcript]) -> str:
        return self.failureResultOf(finished, ServiceError).value.why  # type: ignore[no-any-return]

    def test_warm(self) -> None:
        """The models are loaded at start, in threads."""
        self.threads.held = []
        self.recogniser()
        self.threads.release()
        self.assertEqual(self.log, ["A begin", "B begin"])

    def test_live(self) -> None:
        """From its first second on speech is followed, some frames at a time."""
        utterance = self.recogniser().open("en")
        for _ in range(6):
            utterance.feed(b"a" * (SECOND // 4))
        self.assertEqual(self.log, ["B begin", "B feed a1", "B feed a0.25", "B feed a0.25"])
        finished = self.finish(utterance)
        self.assertEqual(self.successResultOf(finished), Transcript("a1.5", "en"))
        self.assertEqual(self.log[-1], "B finish")

    def test_small_pieces(self) -> None:
        """What is too little to be worth a call is passed on with the rest, or at the end."""
        utterance = self.recogniser().open("en")
        utterance.feed(b"a" * SECOND)
        utterance.feed(b"a" * (SECOND // 10))
        self.assertEqual(self.log[-1], "B feed a1")
        self.assertEqual(self.text(self.finish(utterance)), "a1.1")

    def test_last_decoder_is_kept(self) -> None:
        """The last free decoder does not follow speech: complete utterances get it."""
        engine = self.recogniser()
        slow, other, done = engine.open("en"), engine.open("en"), engine.open("en")
        slow.feed(b"s" * SECOND)
        other.feed(b"o" * SECOND)
        self.assertEqual(self.log, ["B begin", "B feed s1"])
        done.feed(b"d" * (SECOND // 2))
        self.assertEqual(self.text(self.finish(done)), "d0.5")
        self.assertNotIn("o", "".join(self.log).replace("begin", "").replace("finish", ""))
        self.assertEqual(self.text(self.finish(slow)), "s1")
        self.assertEqual(self.log[-2:], ["B begin", "B feed o1"])
        self.assertEqual(self.text(self.finish(other)), "o1")

    def test_one_decoder(self) -> None:
        """A single decoder works on complete utterances only."""
        engine = self.recogniser(1)
        utterance = engine.open("en")
        utterance.feed(b"a" * SECOND * 3)
        self.assertEqual(self.log, [])
        self.assertEqual(self.text(self.finish(utterance)), "a3")
        self.assertEqual(self.log.count("A feed a1"), 3)

    def test_complete_first(self) -> None:
        """Complete utterances go before live ones, in the order they were completed."""
        engine = self.recogniser(2)
        self.threads.held = []
        busy = [engine.open("en") for _ in range(2)]
        live, first, second = (engine.open("en") for _ in range(3))
        for letter, utterance in zip(b"xy", busy, strict=True):
            utterance.feed(bytes([letter]))
        results = [self.finish(utterance) for utterance in busy]
        live.feed(b"l" * SECOND)
        second.feed(b"2")
        first.feed(b"1")
        results += [self.finish(first), self.finish(second)]
        self.threads.release()
        self.assertEqual([self.text(result)[0] for result in results], ["x", "y", "1", "2"])
        fed = [line.split()[2][0] for line in self.log if "feed" in line]
        self.assertEqual(fed, ["x", "1", "2", "y", "l"])
        live.cancel()

    def test_backlog(self) -> None:
        """A minute is kept while no decoder is free; what comes later is dropped."""
        engine = self.recogniser(1)
        utterance = engine.open("en")
        for letter in b"a" * 60 + b"b":
            utterance.feed(bytes([letter]) * SECOND)
        self.assertEqual(self.text(self.finish(utterance)), f"a{BACKLOG // SECOND}")

    def test_cancel_live(self) -> None:
        """Cancelling a live utterance resets its decoder, which then serves the next."""
        engine = self.recogniser()
        utterance = engine.open("en")
        utterance.feed(b"a" * SECOND)
        utterance.cancel()
        utterance.cancel()
        self.assertEqual(self.log[-1], "B reset")
        after = engine.open("en")
        after.feed(b"b" * SECOND)
        self.assertEqual(self.log[-2:], ["B begin", "B feed b1"])
        after.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancel_waiting(self) -> None:
        """Cancelling an utterance that waits leaves the decoders alone."""
        engine = self.recogniser(1)
        utterance = engine.open("en")
        utterance.feed(b"a" * SECOND)
        utterance.cancel()
        self.assertEqual(self.log, [])
        self.assertEqual(self.text(self.finish(utterance)), "")

    def test_cancel_busy(self) -> None:
        """A decoder that does not come back from a cancelled utterance in 2 s is killed."""
        engine = self.recogniser()
        self.threads.held = []
        utterance = engine.open("en")
        utterance.feed(b"a" * SECOND)
        finished = self.finish(utterance)
        utterance.cancel()
        self.failureResultOf(finished, CancelledError)
        self.clock.advance(1.9)
        self.assertNotIn("B kill", self.log)
        self.clock.advance(0.2)
        self.assertIn("B kill", self.log)
        self.threads.release()

    def test_slow_step(self) -> None:
        """A decoder that hangs while the user speaks is killed."""
        engine = self.recogniser()
        utterance = engine.open("en")
        utterance.feed(b"a" * SECOND)
        self.threads.held = []
        utterance.feed(b"a" * SECOND)
        self.clock.advance(11)
        self.assertEqual(self.log[-1], "B kill")
        self.decoders[1].error = ServiceError("asr", "died")
        self.threads.release()
        self.assertEqual(self.why(self.finish(utterance)), "died")

    def test_crash(self) -> None:
        """A crash fails its utterance, when the text is asked for; the next is served."""
        engine = self.recogniser()
        utterance = engine.open("en")
        self.decoders[1].error = ServiceError("asr", "died")
        utterance.feed(b"a" * SECOND)
        self.decoders[1].error = None
        utterance.feed(b"a" * SECOND)
        self.assertEqual(self.why(self.finish(utterance)), "died")
        after = engine.open("en")
        after.feed(b"b" * SECOND)
        self.assertEqual(self.text(self.finish(after)), "b1")

    def test_crash_at_finish(self) -> None:
        """A crash at the end fails who waits."""
        engine = self.recogniser(1)
        self.decoders[0].error = ServiceError("asr", "died")
        utterance = engine.open("en")
        utterance.feed(b"a" * SECOND)
        self.assertEqual(self.why(self.finish(utterance)), "died")

    def test_deadline(self) -> None:
        """Who waits for a text waits 10 s and half the utterance's length."""
        engine = self.recogniser(1)
        self.threads.held = []
        first, second = engine.open("en"), engine.open("en")
        first.feed(b"a" * 4 * SECOND)
        second.feed(b"b" * SECOND)
        waiting = [self.finish(first), self.finish(second)]
        self.clock.advance(10.6)
        self.assertNoResult(waiting[0])
        self.assertEqual(self.why(waiting[1]), "pocketsphinx took longer than 10 s")
        self.clock.advance(1.5)
        self.assertEqual(self.why(waiting[0]), "pocketsphinx took longer than 12 s")
        self.threads.release()
        self.assertEqual(self.log, ["A begin", "A reset"])

    def test_too_many(self) -> None:
        """Only so many complete utterances wait."""
        engine = self.recogniser(1)
        self.threads.held = []
        waiting = []
        for _ in range(QUEUE + 2):
            utterance = engine.open("en")
            utterance.feed(b"a")
            waiting.append(self.finish(utterance))
        self.assertEqual(self.why(waiting.pop()), "too much work is waiting")
        self.threads.release()
        self.assertEqual({self.text(result)[0] for result in waiting}, {"a"})

    def test_stop(self) -> None:
        """Stopping ends the decoders and who waits for them; nothing is opened any more."""
        engine = self.recogniser()
        live, waiting = engine.open("en"), engine.open("en")
        live.feed(b"a" * SECOND)
        self.threads.held = []
        waiting.feed(b"b")
        finished = self.finish(waiting)
        idle = engine.open("en")
        for decoder in self.decoders:
            decoder.error = ServiceError("asr", "died")
        stopped = engine.stopService()
        self.assertEqual(self.log[-2:], ["A kill", "B kill"])
        self.threads.release()
        self.successResultOf(stopped)
        for result in (finished, self.finish(live), self.finish(idle)):
            self.assertEqual(self.why(result), "the server is stopping")
        self.assertEqual(self.log[-2:], ["A close", "B close"])
        self.assertRaises(ServiceError, engine.open, "en")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unavailable(self) -> None:
        """Without the package the engine says how to get it."""
        with (
            patch("xiaozhi.services.asr.pocketsphinx.find_spec", return_value=None),
            self.assertRaisesRegex(Unavailable, "pip install pocketsphinx"),
        ):
            self.recogniser()
