"""Sentences into packets."""

from __future__ import annotations

import array
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeSpeech, Here, tone
from xiaozhi.audio import Decoder, Encoder
from xiaozhi.errors import ServiceError
from xiaozhi.services.tts import Sound
from xiaozhi.settings import Audio
from xiaozhi.voice import Solo, Voice

AUDIO = Audio(sample_rate=16000)
HERE: Any = Here()


class HandPool:
    """A pool whose work is done when the test says."""

    def __init__(self) -> None:
        self.work: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.full = False

    def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        if self.full:
            raise ServiceError("audio", "too much work is waiting")
        self.work.append((Deferred(), lambda: work(*args, **kwargs)))
        return self.work[-1][0]

    def do(self) -> None:
        """Do what waits, but not what comes of it."""
        work, self.work = self.work, []
        for done, call in work:
            done.callback(call())


class ScriptedSpeech:
    """Yields the sounds that the test gives it."""

    def __init__(self) -> None:
        self.next: Deferred[bytes | None] = Deferred()
        self.waiting = False
        """Whether it is asked for more."""
        self.closed = False

    def give(self, pcm: bytes | None) -> None:
        """Let it yield `pcm`, or end."""
        given, self.next = self.next, Deferred()
        given.callback(pcm)

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        try:
            self.waiting = True
            while (pcm := await self.next) is not None:
                self.waiting = False
                yield Sound(16000, pcm)
                self.waiting = True
        finally:
            self.closed = True


def peaks(packets: list[bytes]) -> list[int]:
    """Decode one stream; tell the loudest sample of each packet."""
    decoder = Decoder(16000)
    return [max(map(abs, array.array("h", decoder.decode(packet)))) for packet in packets]


class VoiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.packets: list[bytes] = []

    def voice(self, speech: Any, pool: Any = None, **kept: list[bytes]) -> Voice:
        return Voice(speech, pool or HERE, AUDIO, lambda text: kept.get(text, ()))

    def say(self, voice: Voice, sentence: str = "hello") -> Deferred[None]:
        async def read() -> None:
            async with aclosing(voice.speak(sentence, "en")) as packets:
                async for packet in packets:
                    self.packets.append(packet)

        saying = Deferred.fromCoroutine(read())
        self.addCleanup(lambda: saying.addErrback(lambda _: None).cancel())
        return saying

    def test_all_of_it(self) -> None:
        """A sentence is all its frames, however long the sound is and in whatever pieces."""
        for seconds, frames in ((0.01, 1), (1.2, 20), (30.0, 500)):
            self.packets = []
            self.successResultOf(self.say(self.voice(FakeSpeech(seconds))))
            self.assertEqual(len(self.packets), frames)
        pieces = ScriptedSpeech()
        whole, self.packets = self.packets, []
        saying = self.say(self.voice(pieces))
        sound = tone(30.0)
        for start in range(0, len(sound), 2222):
            pieces.give(sound[start : start + 2222])
        pieces.give(None)
        self.successResultOf(saying)
        self.assertEqual(self.packets, whole)

    def test_the_first_packet_is_early(self) -> None:
        """A tenth of a second is encoded at once; what comes meanwhile, up to a second, next."""
        pool = HandPool()
        speech = ScriptedSpeech()
        saying = self.say(self.voice(speech, pool))
        speech.give(tone(3.0))
        pool.do()
        self.assertEqual(len(self.packets), 1)
        pool.do()
        self.assertEqual(len(self.packets), 1200 // 60)
        pool.do()
        pool.do()
        self.assertEqual((len(self.packets), pool.work), (3000 // 60, []))
        speech.give(None)
        pool.do()
        self.successResultOf(saying)

    def test_slow_speech(self) -> None:
        """Of a speaker that is no faster than its speech, nothing waits for more to come."""
        speech = ScriptedSpeech()
        self.say(self.voice(speech))
        for count in range(1, 9):
            speech.give(tone(0.06))
            self.assertEqual(len(self.packets), count)

    def test_patience(self) -> None:
        """A speaker that is faster than its packets are read is made to wait."""
        pool = HandPool()
        speech = ScriptedSpeech()
        self.say(self.voice(speech, pool))
        given = 0
        while speech.waiting:
            speech.give(tone(0.1))
            given += 1
        # One is being encoded, ten wait, and one more was made.
        self.assertEqual(given, 12)
        pool.do()
        self.assertTrue(speech.waiting)

    def test_failure(self) -> None:
        """What was spoken before a failure is heard, and the failure is told."""
        speech = ScriptedSpeech()
        saying = self.say(self.voice(speech))
        speech.give(tone(0.6))
        speech.next.errback(ServiceError("tts", "hoarse"))
        self.failureResultOf(saying, ServiceError)
        self.assertEqual((len(self.packets), speech.closed), (10, True))

    def test_cancel(self) -> None:
        """Who breaks off closes the speaker, wherever the sound is at that moment."""
        for given in (0, 1, 30):
            speech = ScriptedSpeech()
            saying = self.say(self.voice(speech, HandPool()))
            for _ in range(given):
                if speech.waiting:
                    speech.give(tone(0.1))
            saying.cancel()
            self.failureResultOf(saying, CancelledError)
            self.assertTrue(speech.closed)

    def test_no_thread(self) -> None:
        """When nothing can be encoded any more, the speaker is closed in the midst of it."""
        pool = HandPool()
        pool.full = True
        speech = ScriptedSpeech()
        saying = self.say(self.voice(speech, pool))
        speech.give(tone(3.0))
        self.failureResultOf(saying, ServiceError)
        self.assertTrue(speech.closed)

    def test_kept(self) -> None:
        """A sentence that is kept is spoken as it is, without a voice or a thread."""
        speech = FakeSpeech()
        voice = self.voice(speech, HandPool(), Sorry=[b"1", b"2"])
        self.successResultOf(self.say(voice, "Sorry"))
        self.assertEqual((self.packets, speech.sentences), ([b"1", b"2"], []))

    def test_kept_in_another_voice(self) -> None:
        """Where what is kept is another voice's, it is for when nobody can speak."""
        speech = FakeSpeech(0.06)
        voice = Voice(speech, HERE, AUDIO, lambda text: [b"1", b"2"], kept_last=True)
        speech.failures = [None, ServiceError("tts", "gone"), "half"]
        self.successResultOf(self.say(voice))
        (own,) = self.packets
        self.successResultOf(self.say(voice))
        self.assertEqual(self.packets, [own, b"1", b"2"])
        self.failureResultOf(self.say(voice), ServiceError)  # nothing is said twice
        self.assertEqual(len(self.packets), 4)

    def test_seam(self) -> None:
        """Between an answer's sentences and one that was kept there is no crack."""
        encoder = Encoder(16000, 60)
        size = encoder.frame_bytes
        sound = tone(0.6)
        kept = [encoder.encode(sound[at : at + size]) for at in range(0, len(sound), size)]
        voice = self.voice(FakeSpeech(0.6), Sorry=kept)
        for sentence in ("one", "Sorry", "two", "Sorry"):
            self.successResultOf(self.say(voice, sentence))
        found = peaks(self.packets)
        self.assertEqual(len(found), 40)
        self.assertLess(max(found), 1.15 * max(peaks(kept)))
        # What comes after a kept sentence is as if it were the first.
        self.assertEqual(self.packets[:10], self.packets[20:30])


class SoloTests(SynchronousTestCase):
    def test_samples(self) -> None:
        """One voice by itself is heard in whole samples, at its rate."""

        class Speaker:
            languages = ("en",)
            rate = 8000

            async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
                for piece in (b"abc", b"d", b"", b"efg"):
                    yield piece

        async def listen() -> list[Sound]:
            return [sound async for sound in Solo(Speaker()).speak("hello", "en")]

        heard = self.successResultOf(Deferred.fromCoroutine(listen()))
        self.assertEqual(heard, [Sound(8000, b"ab"), Sound(8000, b"cd"), Sound(8000, b"ef")])
