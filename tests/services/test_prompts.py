"""What the server says often: made once, kept, made better, and never too much of it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Collection
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import Here
from xiaozhi.errors import ServiceError
from xiaozhi.services.prompts import AGAIN, LARGEST, PATIENCE, Line, Maker, Prompts, Shelf, _seal

HELLO, SORRY, NIHAO = Line("Hello.", "en"), Line("Sorry.", "en"), Line("你好。", "zh")
SOON = AGAIN[0]


class FakeVoice:
    """Speaks a packet that names it, and one that is the text."""

    def __init__(self, name: str, able: Collection[str] = ("*",), lasting: bool = True) -> None:
        self.name = name
        self.able = able
        self.works = True
        self.wait: Deferred[None] | None = None
        self.asked: list[str] = []
        self.closed = 0
        self.maker = Maker(f"{name}, its settings", lambda: self.able, self.speak, lasting)

    async def speak(self, text: str, language: str) -> AsyncGenerator[bytes, None]:
        self.asked.append(text)
        try:
            yield self.name.encode()
            if self.wait is not None:
                await self.wait
            if not self.works:
                raise ServiceError("tts", "hoarse")
            yield text.encode()
        finally:
            self.closed += 1


class PromptsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.shelf = Shelf(self.folder)

    def start(self, *voices: FakeVoice, lines: tuple[Line, ...] = (HELLO, SORRY)) -> Prompts:
        workers: Any = Here()
        prompts = Prompts([v.maker for v in voices], lines, self.shelf, workers, self.clock)
        prompts.startService()
        self.addCleanup(lambda: prompts.stopService() if prompts.running else None)
        return prompts

    def said(self, prompts: Prompts, line: Line = HELLO) -> str:
        """Tell which voice a prompt is in; "" if it is not there."""
        packets = prompts.get(line.text)
        self.assertEqual(packets[1:], (line.text.encode(),) if packets else ())
        return packets[0].decode() if packets else ""

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    def test_ready(self) -> None:
        """Every line is there, each made once; nothing else is."""
        voice = FakeVoice("good")
        prompts = self.start(voice)
        self.assertEqual((self.said(prompts), self.said(prompts, SORRY)), ("good", "good"))
        self.assertEqual(prompts.get("Sorry, what?"), ())
        self.clock.pump([SOON] * 9)
        self.assertEqual(voice.asked, ["Hello.", "Sorry."])

    def test_restart(self) -> None:
        """After a restart they come from the folder, and no voice is asked."""
        self.start(FakeVoice("good")).stopService()
        good, better = FakeVoice("good"), FakeVoice("better")
        self.assertEqual(self.said(self.start(good)), "good")
        self.assertEqual(good.asked, [])
        # A better voice makes its own; what it made is found before the other's.
        self.assertEqual(self.said(self.start(better, good)), "better")
        self.assertEqual((good.asked, better.asked), ([], ["Hello.", "Sorry."]))
        self.assertEqual(self.said(self.start(FakeVoice("better"), good)), "better")

    def test_secrets(self) -> None:
        """The settings of a voice, which may be secret, are in no file and no file's name."""
        self.start(FakeVoice("good"))
        for path in self.files():
            self.assertNotIn("settings", path.name)
            self.assertNotIn(b"settings", path.read_bytes())

    def test_makeshift(self) -> None:
        """The last voice stands in at once; a better one's version replaces it when it can."""
        good, last = FakeVoice("good"), FakeVoice("last", lasting=False)
        good.works = False
        prompts = self.start(good, last)
        self.assertEqual((self.said(prompts), self.said(prompts, SORRY)), ("last", "last"))
        # One failure is enough to leave a voice alone for now.
        self.assertEqual((good.asked, self.folder.exists()), (["Hello."], False))
        good.works = True
        self.clock.advance(SOON)
        self.assertEqual((self.said(prompts), self.said(prompts, SORRY)), ("good", "good"))
        self.assertEqual((last.asked, len(self.files())), (["Hello.", "Sorry."], 2))

    def test_backoff(self) -> None:
        """A voice that stays away is asked ever more seldom, and never given up; quietly."""
        good = FakeVoice("good")
        good.works = False
        with capturedLogs() as logged:
            self.start(good, FakeVoice("last"), lines=(HELLO,))
            for _ in range(3600):
                self.clock.advance(1)
        self.assertEqual(len(good.asked), 14)
        self.assertEqual(logged, [])

    def test_languages(self) -> None:
        """A prompt is a matter of the first voice that does its language, once that is known."""
        loading, other = FakeVoice("loading", able=()), FakeVoice("other")
        loading.works = False
        prompts = self.start(loading, other, lines=(HELLO, NIHAO))
        loading.works, loading.able = True, {"en"}
        self.clock.advance(SOON)
        self.assertEqual((self.said(prompts), self.said(prompts, NIHAO)), ("loading", "other"))
        loading.able = {"en", "zh"}
        self.clock.advance(2 * SOON)
        self.assertEqual(self.said(prompts, NIHAO), "loading")

    def test_damaged(self) -> None:
        """A damaged file is thrown away, which is said once, and made anew."""
        self.start(FakeVoice("good")).stopService()
        cut, turned = self.files()
        cut.write_bytes(cut.read_bytes()[:-1])
        data = bytearray(turned.read_bytes())
        data[-1] ^= 1
        turned.write_bytes(data)
        with capturedLogs() as logged:
            prompts = self.start(FakeVoice("good"))
        self.assertEqual((self.said(prompts), self.said(prompts, SORRY)), ("good", "good"))
        (event,) = logged
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertRegex(str(event["why"]), r"\.prompt is damaged$")
        silent = FakeVoice("good")
        self.start(silent)
        self.assertEqual(silent.asked, [])

    def test_another_format(self) -> None:
        """What is sealed but no prompt, as another version's file, is made anew as well."""
        self.start(FakeVoice("good"), lines=(HELLO,)).stopService()
        (path,) = self.files()
        body = msgspec.msgpack.encode({"text": 3})
        path.write_bytes(_seal(body) + body)
        with capturedLogs():
            self.assertEqual(self.said(self.start(FakeVoice("good"), lines=(HELLO,))), "good")

    def test_no_folder(self) -> None:
        """Where nothing can be written the prompts are there all the same; it is said once."""
        self.folder.write_text("in the way")
        with capturedLogs() as logged:
            prompts = self.start(FakeVoice("good"))
        self.assertEqual((self.said(prompts), self.said(prompts, SORRY)), ("good", "good"))
        self.assertEqual(len(logged), 1)

    def test_stop(self) -> None:
        """Stopping while a prompt is made closes the voice; starting again makes it."""
        voice = FakeVoice("good")
        voice.wait = Deferred()
        prompts = self.start(voice)
        self.successResultOf(prompts.stopService())
        self.assertEqual((voice.closed, self.said(prompts)), (1, ""))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        voice.wait = None
        prompts.startService()
        self.assertEqual(self.said(prompts, SORRY), "good")
        self.successResultOf(prompts.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """A voice that does not come to an end is left, for the next one."""
        good = FakeVoice("good")
        good.wait = Deferred()
        prompts = self.start(good, FakeVoice("second"), FakeVoice("last", {"vi"}))
        self.assertEqual(self.said(prompts), "last")
        self.clock.advance(PATIENCE)
        self.assertEqual((good.closed, self.said(prompts)), (1, "second"))

    def test_endless(self) -> None:
        """What is too long for a prompt is none, and nothing at all is none either."""
        voice = FakeVoice("x" * (LARGEST + 1))
        self.assertEqual(self.said(self.start(voice)), "")
        self.assertEqual(voice.closed, len(voice.asked))
        mute = FakeVoice("mute")

        async def nothing(text: str, language: str) -> AsyncGenerator[bytes, None]:
            for packet in list[bytes]():
                yield packet

        mute.maker = Maker("mute", lambda: (), nothing)
        self.assertEqual(self.said(self.start(mute, FakeVoice("last"))), "last")

    def test_no_voice(self) -> None:
        """Without any voice there is nothing, and nothing goes wrong."""
        self.assertEqual(self.said(self.start()), "")

    def test_our_fault(self) -> None:
        """A mistake of ours ends the making, and is told with its traceback."""
        voice = FakeVoice("good")
        voice.wait = Deferred()
        prompts = self.start(voice)
        voice.wait.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(prompts.stopService())


class ShelfTests(SynchronousTestCase):
    """The folder is bounded."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def put(self, shelf: Shelf, text: str, size: int = 10) -> None:
        shelf.keep("voice", Line(text, "en"), (bytes(size),))
        # Files are told apart by time, which runs too slowly here.
        for path in self.folder.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))

    def left(self, shelf: Shelf, texts: str) -> str:
        return "".join(text for text in texts if shelf.find(["voice"], Line(text, "en")))

    def test_files(self) -> None:
        """Of too many files those go that were not used longest, whatever they are."""
        self.folder.mkdir()
        (self.folder / "unfinished.new").write_bytes(b"left by a crash")
        os.utime(self.folder / "unfinished.new", (0, 0))
        shelf = Shelf(self.folder, files=3)
        for text in "abc":
            self.put(shelf, text)
        self.assertEqual(len(list(self.folder.iterdir())), 3)
        shelf.find(["voice"], Line("a", "en"))
        self.put(shelf, "d")
        self.assertEqual(self.left(shelf, "abcd"), "acd")

    def test_size(self) -> None:
        """Of too many bytes, too; what is too large by itself is not kept at all."""
        shelf = Shelf(self.folder, size=2500)
        for text in "abc":
            self.put(shelf, text, 1000)
        self.assertEqual(self.left(shelf, "abc"), "bc")
        self.put(shelf, "d", 3000)
        self.assertEqual(self.left(shelf, "abcd"), "bc")

    def test_whole_or_not(self) -> None:
        """A file that cannot be put in its place leaves nothing behind."""
        shelf = Shelf(self.folder)
        shelf.keep("voice", Line("a", "en"), (b"x",))
        (path,) = self.folder.iterdir()
        path.unlink()
        path.mkdir()
        with self.assertRaises(OSError):
            shelf.keep("voice", Line("a", "en"), (b"x",))
        self.assertEqual(list(self.folder.iterdir()), [path])

    def test_the_first_maker(self) -> None:
        """What several voices have made is had of the first one named."""
        shelf = Shelf(self.folder)
        for name in "ab":
            shelf.keep(name, HELLO, (name.encode(),))
        self.assertEqual(shelf.find(["x", "b", "a"], HELLO), {"b": (b"b",)})
        self.assertEqual(shelf.find(["x"], HELLO), {})
