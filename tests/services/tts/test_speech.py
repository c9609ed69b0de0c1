"""The list of voices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.services.streams import play
from xiaozhi.errors import ServiceError
from xiaozhi.services.deadline import Deadlines
from xiaozhi.services.tts import LONGEST, Samples, Sound, Speaker, Speech, has_words

BROKEN = ServiceError("tts", "broken")


class FakeSpeaker(Service):
    """Says what is in `script`; errors are raised, Deferreds waited for."""

    def __init__(self, script: list[Any], languages: Collection[str] = ("*",)) -> None:
        self.script = script
        self.languages = languages
        self.rate = 16000
        self.heard: list[tuple[str, str]] = []
        self.closed = 0

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        self.heard.append((sentence, language))
        try:
            async with aclosing(play(self.script)) as steps:
                async for step in steps:
                    yield step
        finally:
            self.closed += 1


async def collect(stream: AsyncIterator[Sound]) -> list[bytes]:
    return [sound.pcm async for sound in stream]


class SpeechTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def speech(self, **speakers: Speaker) -> Speech:
        return Speech(list(speakers.items()), self.clock, Deadlines(5, 2, 60))

    def say(self, speech: Speech, sentence: str = "hello", language: str = "en") -> list[bytes]:
        return self.successResultOf(
            Deferred.fromCoroutine(collect(speech.speak(sentence, language)))
        )

    def why(self, result: Deferred[Any]) -> str:
        error = self.failureResultOf(result, ServiceError).value
        self.assertEqual(error.stage, "tts")
        return str(error.why)

    def start(self, speech: Speech) -> Deferred[list[bytes]]:
        return Deferred.fromCoroutine(collect(speech.speak("hello", "en")))

    def test_sound(self) -> None:
        """A sentence is the pieces of the first voice, each with its sample rate."""
        speaker = FakeSpeaker([b"abcd", b"ef"])

        async def listen() -> list[Sound]:
            return [sound async for sound in self.speech(a=speaker).speak("hello", "en")]

        sounds = self.successResultOf(Deferred.fromCoroutine(listen()))
        self.assertEqual(sounds, [Sound(16000, b"abcd"), Sound(16000, b"ef")])
        self.assertEqual(speaker.heard, [("hello", "en")])

    def chosen(self, sentence: str, usual: str, **able: str) -> str:
        """Return the name of the voice that speaks, and the language it is told."""
        speakers = {name: FakeSpeaker([b".."], able[name].split()) for name in able}
        self.say(self.speech(**speakers), sentence, usual)
        ((name, heard),) = [(name, s.heard[0]) for name, s in speakers.items() if s.heard]
        return f"{name} {heard[1]}"

    def test_choice(self) -> None:
        """The first voice that can do the whole sentence is chosen, else its main language."""
        self.assertEqual(self.chosen("hello", "en", a="zh", b="en", c="*"), "b en")
        self.assertEqual(self.chosen("你好", "en", a="en", b="zh en", c="*"), "b zh")
        self.assertEqual(self.chosen("我用Python", "zh", a="zh", b="en", c="en zh"), "c zh")
        self.assertEqual(self.chosen("我用Python", "zh", a="en", b="zh"), "b zh")
        self.assertEqual(self.chosen("你好", "zh", a="en", b="de"), "a zh")
        self.assertEqual(self.chosen("3.14", "vi", a="en", b="vi"), "b vi")

    def test_next_takes_over(self) -> None:
        """When a voice fails before its first piece, the next says the sentence."""
        a, b, c = FakeSpeaker([BROKEN]), FakeSpeaker([b"", BROKEN]), FakeSpeaker([b"ok"])
        self.assertEqual(self.say(self.speech(a=a, b=b, c=c)), [b"ok"])
        self.assertEqual([a.closed, b.closed, c.closed], [1, 1, 1])

    def test_nothing_is_said_twice(self) -> None:
        """When a voice fails after its first piece, the sentence fails."""
        a, b = FakeSpeaker([b"half", BROKEN]), FakeSpeaker([b"ok"])
        heard: list[bytes] = []

        async def listen() -> None:
            async for sound in self.speech(a=a, b=b).speak("hello", "en"):
                heard.append(sound.pcm)

        self.assertEqual(self.why(Deferred.fromCoroutine(listen())), "broken")
        self.assertEqual(heard, [b"half"])
        self.assertEqual(b.heard, [])

    def test_all_fail(self) -> None:
        """When all voices fail, the sentence fails with the reason of each."""
        speech = self.speech(a=FakeSpeaker([BROKEN]), b=FakeSpeaker([BROKEN]))
        self.assertEqual(self.why(self.start(speech)), "a: broken; b: broken")

    def test_no_voice(self) -> None:
        """Without a voice a sentence fails."""
        self.assertEqual(self.why(self.start(self.speech())), "there is no voice")

    def test_late(self) -> None:
        """A voice that does not begin in time has failed, and is closed."""
        a, b = FakeSpeaker([Deferred()]), FakeSpeaker([b"ok"])
        result = self.start(self.speech(a=a, b=b))
        self.clock.advance(4.9)
        self.assertNoResult(result)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(result), [b"ok"])
        self.assertEqual(a.closed, 1)

    def test_stalled(self) -> None:
        """A voice that stalls in the middle has failed."""
        a = FakeSpeaker([b"half", Deferred()])
        result = self.start(self.speech(a=a))
        self.clock.advance(2.1)
        self.assertIn("stalled", self.why(result))
        self.assertEqual(a.closed, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancel(self) -> None:
        """A cancelled sentence closes the voice, and no other takes over."""
        a, b = FakeSpeaker([Deferred()]), FakeSpeaker([b"ok"])
        result = self.start(self.speech(a=a, b=b))
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual((a.closed, b.heard), (1, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """A sentence closed in the middle closes the voice."""
        a = FakeSpeaker([b"half", Deferred()])

        async def listen() -> None:
            async with aclosing(self.speech(a=a).speak("hello", "en")) as sounds:
                await anext(sounds)

        self.successResultOf(Deferred.fromCoroutine(listen()))
        self.assertEqual(a.closed, 1)

    def test_silence(self) -> None:
        """A voice that has nothing to say has not failed."""
        a, b = FakeSpeaker([]), FakeSpeaker([b"ok"])
        self.assertEqual(self.say(self.speech(a=a, b=b), "..."), [])
        self.assertEqual(b.heard, [])

    def test_no_sound_for_words(self) -> None:
        """A voice that gives no sound for words has failed, and the next one speaks."""
        a, b = FakeSpeaker([]), FakeSpeaker([b"ok"])
        self.assertEqual(len(self.say(self.speech(a=a, b=b), "Hello there.")), 1)
        self.assertEqual(len(b.heard), 1)

    def test_our_own_fault(self) -> None:
        """An error that is no ServiceError is ours: it is not taken for a failure of the voice."""
        result = self.start(self.speech(a=FakeSpeaker([KeyError("bug")]), b=FakeSpeaker([b"ok"])))
        self.failureResultOf(result, KeyError)

    def test_rests(self) -> None:
        """A voice that failed is not tried at the next sentence."""
        a = FakeSpeaker([BROKEN])
        speech = self.speech(a=a, b=FakeSpeaker([b"ok"]))
        for _ in range(3):
            self.assertEqual(self.say(speech), [b"ok"])
        self.assertEqual(len(a.heard), 1)

    def test_endless(self) -> None:
        """A sentence whose sound has no end fails, when it is longer than anybody speaks."""
        second = bytes(2 * 16000)
        speech = self.speech(a=FakeSpeaker([second] * 100))
        heard: list[Sound] = []

        async def listen() -> None:
            async for sound in speech.speak("hello", "en"):
                heard.append(sound)

        self.assertIn("more than", self.why(Deferred.fromCoroutine(listen())))
        self.assertEqual(len(heard), LONGEST + 5)

    def test_probe(self) -> None:
        """A voice is probed with a word in a language it can do."""
        for able, said in (
            (["*"], ("Hello.", "en")),
            (["fr", "zh"], ("你好。", "zh")),
            (["fr"], ("Hello.", "fr")),
            ([], ("Hello.", "en")),
        ):
            speaker = FakeSpeaker([b"ok", b"more"], able)
            self.successResultOf(Deferred.fromCoroutine(self.speech().probe(speaker)))
            self.assertEqual((speaker.heard, speaker.closed), ([said], 1))
        probing = Deferred.fromCoroutine(self.speech().probe(FakeSpeaker([])))
        self.assertEqual(self.why(probing), "no sound")
        probing = Deferred.fromCoroutine(self.speech().probe(FakeSpeaker([b"half", BROKEN])))
        self.assertEqual(self.why(probing), "broken")

    def test_odd_pieces(self) -> None:
        """Halves of samples are put together."""
        self.assertEqual(self.say(self.speech(a=FakeSpeaker([b"abc", b"d", b"e"]))), [b"ab", b"cd"])

    def test_services(self) -> None:
        """Voices that are services live as long as the list."""
        a = FakeSpeaker([])
        speech = self.speech(a=a)
        speech.startService()
        self.assertTrue(a.running)
        self.successResultOf(speech.stopService())
        self.assertFalse(a.running)

    def test_lineup(self) -> None:
        """The list tells its voices in order, with what they can do now."""
        a, b = FakeSpeaker([], ["en"]), FakeSpeaker([])
        speech = self.speech(a=a, b=b)
        a.languages = ["en", "zh"]
        self.assertEqual(speech.lineup, [("a", ["en", "zh"]), ("b", ("*",))])


class SamplesTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=5)))
    def test_whole(self, pieces: list[bytes]) -> None:
        """Nothing is lost but half a sample at the end, and every piece is of whole samples."""
        samples = Samples()
        whole = [samples.whole(piece) for piece in pieces]
        data = b"".join(pieces)
        self.assertTrue(all(len(piece) % 2 == 0 for piece in whole))
        self.assertEqual(b"".join(whole), data[: len(data) & ~1])


class WordsTests(SynchronousTestCase):
    def test_words(self) -> None:
        """A text has words if it has a letter or a digit of any script."""
        for text in ("a", "你", "5", "สวัสดี", "½", "... é"):
            self.assertTrue(has_words(text), text)
        for text in ("", " ", "...", "😀", "\0", "——", "\ud800"):
            self.assertFalse(has_words(text), text)
