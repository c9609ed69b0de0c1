"""Music from a folder: finding it, playing it, and going on where it was."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.services.streams import collect
from tests.tools.cases import Listener, ToolCase, call, failure
from tests.tools.icecast import MP3
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.tooling import Clip
from xiaozhi.tools import _library as library
from xiaozhi.tools import music
from xiaozhi.tools._decoding import RATE
from xiaozhi.tools.music import Kit, Settings

TONES = Path(__file__).parent
SECONDS = 3.0


def tagged(title: str, artist: str, album: str = "") -> bytes:
    """Make an MP3 with tags (ID3v2.3, UTF-16), without what a recording has of its own."""
    frames = b"".join(
        name + (len(text) + 1).to_bytes(4, "big") + b"\0\0\1" + text
        for name, text in (
            (name, value.encode("utf-16"))
            for name, value in ((b"TIT2", title), (b"TPE1", artist), (b"TALB", album))
            if value
        )
    )
    size = len(frames)
    digits = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + digits + frames + MP3[45:]


def sounding(path: Path, seconds: float = SECONDS, rate: int = 8000) -> None:
    """Write a WAV of so many seconds, in stereo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"\0\x10\0\x10" * int(seconds * rate))


class MusicCase(ToolCase):
    def setUp(self) -> None:
        super().setUp()
        self.music = self.folder / "music"
        self.music.mkdir()

    def kit(self, **settings: Any) -> Kit:
        chosen: Any = {"folder": str(self.music), "directory_url": "", **settings}
        return self.started(Kit(Settings(**chosen), self.room))

    def filled(self) -> Kit:
        """Make a kit for a folder with some music in it."""
        sounding(self.music / "周杰伦 - 稻香.wav")
        sounding(self.music / "周杰伦 - 晴天.wav")
        sounding(self.music / "Lullabies" / "01 Moon.wav")
        sounding(self.music / "Lullabies" / "02 Stars.wav")
        sounding(self.music / "Nina Simone - Feeling Good.wav")
        (self.music / "notes.txt").write_text("no music")
        (self.music / "cover.mp3.jpg").write_bytes(b"no music either")
        (self.music / "gone.mp3").symlink_to(self.music / "nowhere.mp3")
        return self.kit()


def titles(listener: Listener) -> list[str]:
    return [clip.title for clip in listener.clips]


async def heard(clip: Clip) -> float:
    """Play all of a clip; tell how many seconds that is."""
    return sum(len(piece) for piece in await collect(clip.pcm())) / 2 / clip.rate


class FindingTests(MusicCase):
    async def test_meant(self) -> None:
        """It plays what is meant, by whatever of it was said, in Chinese and English."""
        kit = self.filled()
        for said, title in (
            ({"title": "稻香"}, "周杰伦 - 稻香"),
            ({"title": "周杰伦的晴天"}, "周杰伦 - 晴天"),
            ({"title": "feeling goods"}, "Nina Simone - Feeling Good"),
            ({"title": "Feeling Good by Nina Simone"}, "Nina Simone - Feeling Good"),
            ({"title": "nina simone"}, "Nina Simone - Feeling Good"),
            ({"artist": "Nina Simon"}, "Nina Simone - Feeling Good"),
            ({"artist": "周杰伦", "title": "晴天"}, "周杰伦 - 晴天"),
            ({"folder": "lullabies"}, "01 Moon"),
            ({"title": "the stars"}, "02 Stars"),
        ):
            scene = Listener()
            outcome = await call(kit, "play_music", scene, **said)
            self.assertEqual((titles(scene), outcome.final), ([title], True), said)

    async def test_said(self) -> None:
        """It says what it plays."""
        kit = self.filled()
        zh = await call(kit, "play_music", self.zh, title="稻香")
        en = await call(kit, "play_music", self.en, title="feeling good")
        self.assertEqual(
            (zh.say, en.say), ("好，播放周杰伦的《稻香》。", "Playing Feeling Good by Nina Simone.")
        )

    async def test_nothing(self) -> None:
        """What is not there is not played, and nothing like it."""
        kit = self.filled()
        for said in ({"title": "Bohemian Rhapsody"}, {"artist": "邓丽君"}, {"folder": "Jazz"}):
            outcome = await call(kit, "play_music", self.zh, **said)
            self.assertTrue(outcome.failed, said)
            self.assertIn("没有找到", outcome.say)
        self.assertEqual(self.zh.clips, [])

    async def test_anything(self) -> None:
        """Without a name it plays everything in any order."""
        kit = self.filled()
        kit._random.seed(1)
        orders = set()
        for _ in range(8):
            scene = Listener()
            await call(kit, "play_music", scene)
            orders.add(titles(scene)[0])
        self.assertGreater(len(orders), 1)
        self.assertEqual(await heard(scene.clips[0]), 5 * SECONDS)

    async def test_tags(self) -> None:
        """What a file says about itself counts more than its name."""
        (self.music / "track01.mp3").write_bytes(tagged("十年", "陈奕迅", "黑白灰"))
        (self.music / "broken.mp3").write_bytes(b"ID3\3\0\0\x7f\x7f\x7f\x7fTIT2")
        kit = self.kit()
        for said in ({"title": "十年"}, {"folder": "黑白灰"}, {"artist": "陈奕迅"}):
            scene = Listener()
            await call(kit, "play_music", scene, **said)
            self.assertEqual(titles(scene), ["陈奕迅 - 十年"])
        self.assertApproximates(await heard(scene.clips[0]), 0.5, 0.2)

    async def test_changed(self) -> None:
        """Music that is added is found, music that is gone is not."""
        kit = self.filled()
        self.assertTrue((await call(kit, "play_music", self.en, title="Wonderwall")).failed)
        sounding(self.music / "Oasis - Wonderwall.wav")
        (self.music / "Nina Simone - Feeling Good.wav").unlink()
        self.clock.advance(library.FRESH)
        self.assertFalse((await call(kit, "play_music", self.en, title="Wonderwall")).failed)
        self.assertTrue((await call(kit, "play_music", self.en, title="Feeling Good")).failed)

    async def test_bound(self) -> None:
        """Of a folder that is too large a part is looked at."""
        self.patch(library, "MOST", 3)
        kit = self.filled()
        await call(kit, "play_music", self.en)
        self.assertEqual(await heard(self.en.clips[0]), 3 * SECONDS)

    async def test_gone(self) -> None:
        """A folder that is gone is a ServiceError; one that never was, Unavailable."""
        kit = self.kit()
        self.assertEqual((await call(kit, "play_music", self.zh)).say, "还没有音乐。")
        self.music.rmdir()
        self.clock.advance(library.FRESH)
        self.assertIn("not there", (await failure(kit, "play_music", self.en)).why)
        with self.assertRaises(Unavailable):
            self.kit()

    def test_offered(self) -> None:
        """Without a folder there is no music, and without stations no radio."""
        self.assertEqual([tool.name for tool in self.kit().tools], ["play_music", "control_music"])
        self.assertEqual(self.kit(folder="").tools, ())
        radio = self.kit(folder="", stations={"Loopback FM": "http://127.0.0.1/"})
        self.assertEqual([tool.name for tool in radio.tools], ["play_radio", "control_music"])


class PlayingTests(MusicCase):
    async def test_kinds(self) -> None:
        """MP3, FLAC, Ogg Vorbis and WAV are played at one rate, in one channel."""
        (self.music / "a.mp3").write_bytes(MP3)
        (self.music / "b.flac").write_bytes((TONES / "tone.flac").read_bytes())
        (self.music / "c.ogg").write_bytes((TONES / "tone.ogg").read_bytes())
        sounding(self.music / "d.wav", 0.5, 44100)
        kit = self.kit()
        for name in "abcd":
            scene = Listener()
            await call(kit, "play_music", scene, folder="", title=name)
            (clip,) = scene.clips
            pieces = await collect(clip.pcm())
            self.assertEqual(clip.rate, RATE)
            self.assertTrue(all(len(piece) % 2 == 0 for piece in pieces))
        await call(kit, "play_music", self.en, title="a")
        self.assertApproximates(await heard(self.en.clips[0]), 2.0, 0.1)

    async def test_devices(self) -> None:
        """What one device plays, and where it is, is nothing to another."""
        kit = self.filled()
        other = Listener(device="other")
        await call(kit, "play_music", self.en, folder="Lullabies")
        await call(kit, "play_music", other, title="晴天")
        await heard(self.en.clips[0])
        self.en.clips[0].over(SECONDS, False)
        paused = await call(kit, "control_music", self.en, action="pause")
        self.assertEqual((paused.say, paused.final, len(self.en.clips)), ("Paused.", True, 1))
        for listener, title in ((self.en, "02 Stars"), (other, "周杰伦 - 晴天")):
            await call(kit, "control_music", listener, action="resume")
            self.assertEqual(titles(listener)[1:], [title])

    async def test_resume(self) -> None:
        """It goes on where it was stopped, in the track it had come to."""
        kit = self.filled()
        await call(kit, "play_music", self.en, folder="Lullabies")
        first = self.en.clips[0]
        self.assertEqual(await heard(first), 2 * SECONDS)
        first.over(SECONDS + 1.0, False)
        await call(kit, "control_music", self.en, action="resume")
        second = self.en.clips[1]
        self.assertEqual(second.title, "02 Stars")
        self.assertAlmostEqual(await heard(second), SECONDS - 1.0, 2)
        second.over(0.5, False)
        await call(kit, "control_music", self.en, action="resume")
        self.assertAlmostEqual(await heard(self.en.clips[2]), SECONDS - 1.5, 2)

    async def test_again(self) -> None:
        """After the end it begins again; an old clip tells nothing of where a new one is."""
        kit = self.filled()
        await call(kit, "play_music", self.en, folder="Lullabies")
        await heard(self.en.clips[0])
        self.en.clips[0].over(2 * SECONDS, True)
        await call(kit, "control_music", self.en, action="resume")
        self.assertEqual(await heard(self.en.clips[1]), 2 * SECONDS)
        self.en.clips[0].over(4.0, False)
        await call(kit, "control_music", self.en, action="resume")
        self.assertEqual(titles(self.en), ["01 Moon"] * 3)

    async def test_skip(self) -> None:
        """Next and previous go round, and begin at the beginning."""
        kit = self.filled()
        await call(kit, "play_music", self.zh, folder="Lullabies")
        await heard(self.zh.clips[0])
        self.zh.clips[0].over(1.0, False)
        for action in ("next", "next", "previous", "previous"):
            outcome = await call(kit, "control_music", self.zh, action=action)
        self.assertEqual(titles(self.zh), ["01 Moon", "02 Stars", "01 Moon", "02 Stars", "01 Moon"])
        self.assertEqual(outcome.say, "好，播放《01 Moon》。")
        self.assertEqual(await heard(self.zh.clips[-1]), 2 * SECONDS)

    async def test_stop(self) -> None:
        """After a stop there is nothing to go on with."""
        kit = self.filled()
        await call(kit, "play_music", self.zh)
        self.assertEqual(
            (await call(kit, "control_music", self.zh, action="stop")).say, "好，不放了。"
        )
        for action in ("resume", "pause"):
            outcome = await call(kit, "control_music", self.zh, action=action)
            self.assertEqual((outcome.failed, outcome.say), (True, "现在没有在放音乐。"))
        outcome = await call(kit, "control_music", self.zh, action="stop")
        self.assertEqual((outcome.failed, outcome.say), (True, "好的。"))
        await failure(kit, "control_music", self.zh, action="louder")

    async def test_broken_tracks(self) -> None:
        """A track that cannot be played is passed over; if none can, it is a ServiceError."""
        (self.music / "a.mp3").write_bytes(b"no sound" * 1000)
        sounding(self.music / "b.wav")
        (self.music / "c.flac").write_bytes(b"fLaC")
        (self.music / "d.ogg").write_bytes(b"no sound")
        kit = self.kit()
        await call(kit, "play_music", self.en, title="a")
        self.assertEqual(await heard(self.en.clips[0]), SECONDS)
        (self.music / "b.wav").unlink()
        with self.assertRaisesRegex(ServiceError, "no sound"):
            await heard(self.en.clips[0])

    async def test_closed(self) -> None:
        """A clip that is closed or cancelled lets go of its file, at once or when a thread has."""
        kit = self.filled()
        await call(kit, "play_music", self.en, title="Moon")
        for _ in range(3):
            async with aclosing(self.en.clips[0].pcm()) as sound:
                await anext(sound)
                self.assertTrue(self.open_files())
            self.assertEqual(self.open_files(), [])
        sound = self.en.clips[0].pcm()
        step = Deferred.fromCoroutine(_first(sound))
        step.cancel()
        with self.assertRaises(CancelledError):
            await step
        await self.room.pool.run(lambda: None)
        await self.room.pool.run(lambda: None)
        self.assertEqual(self.open_files(), [])

    async def test_pulled(self) -> None:
        """Nothing is decoded ahead: half a second at a time, when it is wanted."""
        kit = self.filled()
        await call(kit, "play_music", self.en, title="Moon")
        async with aclosing(self.en.clips[0].pcm()) as sound:
            self.assertEqual(len(await anext(sound)) / 2 / RATE, 0.5)
            self.assertEqual(self.room.pool.running_calls + self.room.pool.waiting_calls, 0)

    async def test_bound(self) -> None:
        """Of devices that played long ago nothing is remembered."""
        self.patch(music, "LISTENERS", 2)
        kit = self.filled()
        listeners = [Listener(device=str(number)) for number in range(3)]
        for listener in listeners:
            await call(kit, "play_music", listener, title="Moon")
        outcomes = [await call(kit, "control_music", one, action="next") for one in listeners]
        self.assertEqual([outcome.failed for outcome in outcomes], [True, False, False])

    def open_files(self) -> list[str]:
        """Tell which files in the folder this process has open."""
        return [path for path in _opened() if path.startswith(str(self.music))]


async def _first(sound: Any) -> bytes:
    async with aclosing(sound):
        piece: bytes = await anext(sound)
        return piece


def _opened() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the one of the listing itself
            continue
