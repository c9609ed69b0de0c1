"""The engine `espeak`, with the real library."""

from __future__ import annotations

import contextlib
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.services.streams import collect
from tests.services.tts import contract
from tests.services.tts.contract import SENTENCE
from xiaozhi.errors import Unavailable
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts import _espeak_library, espeak
from xiaozhi.services.tts._espeak_library import RATE, library
from xiaozhi.services.tts.espeak import Settings, Speaker, runs


class EspeakTests(contract.SpeakerContract):
    def speaker(self, **settings: Any) -> Speaker:
        return Speaker(Settings(**settings), self.workshop())

    async def length(self, text: str, language: str, **settings: Any) -> float:
        """Speak `text` and return how long that took, in seconds."""
        pieces = await collect(self.speaker(**settings).speak(text, language))
        return len(b"".join(pieces)) / 2 / RATE

    async def test_many_languages(self) -> None:
        """It offers Chinese, English and a hundred others, but no Japanese: it cannot read it."""
        offered = self.speaker().languages
        self.assertGreater(len(offered), 100)
        self.assertLessEqual({"zh", "en", "vi", "de", "fr", "ru", "ar", "no"}, set(offered))
        self.assertNotIn("ja", offered)

    async def test_every_language(self) -> None:
        """It has a voice for each language it offers."""
        speaker = self.speaker()
        for language in speaker.languages:
            self.assertTrue(await collect(speaker.speak("1 2 3", language)), language)

    async def test_unknown_language(self) -> None:
        """A language it has no voice for is spoken by the English one."""
        unknown, english = [await self.length("hello", name) for name in ("xx", "en")]
        self.assertApproximates(unknown, english, 0.01)

    async def test_speed(self) -> None:
        """At twice the speed a sentence takes about half the time."""
        slow, fast = [await self.length(SENTENCE, "en", speed=n, pause_ms=0) for n in (120, 240)]
        self.assertApproximates(slow / fast, 2, 0.5)

    async def test_voices(self) -> None:
        """A language may have another voice; one that there is not is a ServiceError."""
        cantonese = await collect(self.speaker(voices={"zh": "yue"}).speak("你好", "zh"))
        self.assertNotEqual(cantonese, await collect(self.speaker().speak("你好", "zh")))
        self.assertIn("'nobody", await self.failure(self.speaker(voices={"en": "nobody"})))

    async def test_no_data(self) -> None:
        """A library without its data is a ServiceError, not the end of the process."""
        self.patch(espeak, "library", _espeak_library.Library)
        with mock.patch("espeakng_loader.get_data_path", return_value="/nonexistent"):
            self.assertIn("data are not in", await self.failure(self.speaker()))

    async def test_all_parts_of_a_long_text(self) -> None:
        """A long text is spoken whole, in parts of some seconds."""
        speaker = self.speaker()
        pieces = await collect(speaker.speak("一二三四五六七八九十，" * 100, "zh"))
        once = await self.length("一二三四五六七八九十，", "zh")
        self.assertGreater(len(pieces), 4)
        self.assertApproximates(len(b"".join(pieces)) / 2 / RATE, 100 * once, 20 * once)


class RunTests(SynchronousTestCase):
    def check(self, text: str, usual: str, *expected: str) -> None:
        self.assertEqual(
            [f"{run.language} {run.text.strip()}" for run in runs(text, usual)], [*expected]
        )

    def test_one_language(self) -> None:
        """A sentence in one language is one run."""
        self.check("你好，我是小智。", "zh", "zh 你好，我是小智。")
        self.check("Don't panic, e.g. at 10:30!", "en", "en Don't panic, e.g. at 10:30!")
        self.check("Tôi yêu Hà Nội", "vi", "vi Tôi yêu Hà Nội")

    def test_english_in_chinese(self) -> None:
        """English words in a Chinese sentence are runs of their own."""
        self.check("我用Python写代码！", "zh", "zh 我用", "en Python", "zh 写代码！")
        self.check("Taylor Swift是谁？", "zh", "en Taylor Swift", "zh 是谁？")

    def test_chinese_in_english(self) -> None:
        """Chinese words in an English sentence are runs of their own, with the English digits."""
        self.check("I say 你好 at 5.", "en", "en I say", "zh 你好", "en at 5.")

    def test_other_scripts(self) -> None:
        """Each script is read by a voice of it."""
        self.check("我爱Москва和서울", "zh", "zh 我爱", "ru Москва", "zh 和", "ko 서울")

    def test_numbers(self) -> None:
        """Numbers of a Chinese sentence are written out; those of another are left to the voice."""
        self.check("3.14", "zh", "zh 三点一四")
        self.check("3.14", "en", "en 3.14")
        self.check("今天25°C", "zh", "zh 今天二十五摄氏度")
        self.check("5>3", "zh", "zh 五大于三")

    def test_unspeakable(self) -> None:
        """Emojis, control characters and markup are passed over; of nothing nothing is left."""
        self.check("😀你好\0\x01**", "zh", "zh 你好")
        self.check("😀...", "zh")
        self.check("", "zh")
        self.check("e\u0301te\u0301, a\u0317\u0329!", "fr", "fr été, a!")

    def test_long(self) -> None:
        """A long run is cut, at a pause or between words if it has any."""
        for text in ("word, " * 200, "word " * 200, "w" * 1000):
            parts = [run.text for run in runs(text, "en")]
            self.assertGreater(len(parts), 4)
            self.assertEqual("".join(parts), text)
            self.assertLessEqual(max(map(len, parts)), 201)


class LibraryTests(SynchronousTestCase):
    def test_one(self) -> None:
        """There is one library, even if the first two to use it come at the same moment."""
        together = threading.Barrier(2)

        def make() -> object:
            # Ends at once if both threads are here, which is what must not be.
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.2)
            return object()

        self.patch(_espeak_library, "_library", functools.cache(make))
        with ThreadPoolExecutor(2) as threads:
            one, other = (threads.submit(library) for _ in range(2))
            self.assertIs(one.result(), other.result())


class MissingTests(SynchronousTestCase):
    def test_no_package(self) -> None:
        """Without the package it says what to install."""
        self.patch(espeak, "find_spec", lambda name: None)
        with self.assertRaises(Unavailable) as caught:
            Speaker(Settings(), Workshop(None, Workers(None, "tts"), None, "en"))  # type: ignore[arg-type]
        self.assertIn("pip install espeakng-loader", str(caught.exception))
