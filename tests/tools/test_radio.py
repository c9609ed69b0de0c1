"""Radio, from stations on loopback; the directory is written from api.radio-browser.info."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from ssl import create_default_context
from typing import Any

from twisted.internet.defer import Deferred

from tests.services.streams import collect, within
from tests.tools.cases import Failures, ToolCase, call
from tests.tools.icecast import MP3, Station
from tests.tools.web import Asked, Reply, Web
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.bridge import from_aio_stream
from xiaozhi.services.networks import Networks
from xiaozhi.tooling import Clip, Outcome
from xiaozhi.tools import _icecast as icecast
from xiaozhi.tools import _stations as stations
from xiaozhi.tools._decoding import RATE
from xiaozhi.tools._icecast import listen
from xiaozhi.tools._stations import SILENCE
from xiaozhi.tools.music import Kit, Settings

SECONDS = 10.0
"""What a station on loopback sends at once."""

DENSE = b"\xff\xfb\xe0\x00" + bytes(1040)
"""A frame of silence at 44.1 kHz and 320 kbit/s, the most there is."""


class RadioCase(ToolCase):
    def station(self, head: str = "HTTP/1.0 200 OK", **headers: str) -> Station:
        station = Station(head, **{name.replace("_", "-"): text for name, text in headers.items()})
        self.addCleanup(station.stop)
        return station

    def kit(self, **settings: Any) -> Kit:
        return self.started(Kit(Settings(**{"directory_url": "", **settings}), self.room))

    async def clip(self, station: Station) -> Clip:
        """Turn the radio on."""
        kit = self.kit(stations={"Loopback FM": station.url})
        await call(kit, "play_radio", self.en, station="loopback")
        return self.en.clips[-1]

    async def why(self, station: Station) -> str:
        """Tell why a station cannot be heard."""
        clip = await self.clip(station)
        with self.assertRaises(ServiceError) as caught:
            await collect(clip.pcm())
        why: str = caught.exception.why
        return why


class ListeningTests(RadioCase):
    async def test_heard(self) -> None:
        """What a station sends is decoded as it is wanted, while more is to come."""
        for head in ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK", "ICY 200 OK"):
            station = self.station(head)
            station.goes_on = True
            async with aclosing((await self.clip(station)).pcm()) as sound:
                pieces = [await anext(sound)]
                gc.collect()  # C code has a reference that Python does not know of
                pieces += [await anext(sound) for _ in range(30)]
            self.assertEqual({len(piece) for piece in pieces}, {RATE})
            await within(station.left)

    async def test_asked(self) -> None:
        """The station is asked as listeners ask, for nothing but sound."""
        station = self.station()
        station.goes_on = True
        async with aclosing((await self.clip(station)).pcm()) as sound:
            await anext(sound)
        host = station.url.split("/")[2]
        self.assertEqual(station.requests[0][:2], ["GET /live?id=7 HTTP/1.0", f"Host: {host}"])
        self.assertNotIn("icy-metadata", "".join(station.requests[0]).lower())

    async def test_not_pulled(self) -> None:
        """A station is not listened to faster than it is played."""
        station = self.station()
        station.goes_on = True
        async with aclosing((await self.clip(station)).pcm()) as sound:
            await anext(sound)
            before = station.sent
            for _ in range(10):
                await self.room.pool.run(lambda: None)
            # What the buffers of the system take, and not the megabytes a loopback could send.
            self.assertLess(station.sent - before, 8 * 2**20)
        await within(station.left)

    async def test_silence(self) -> None:
        """A station that sends nothing, or too little, is given up in time."""
        for sound in (b"", MP3):
            station = self.station()
            station.sound = sound
            clip = await self.clip(station)
            step = Deferred.fromCoroutine(collect(clip.pcm()))
            await within(station.came)
            self.clock.advance(SILENCE)
            with self.assertRaisesRegex(ServiceError, "no answer within 15 s"):
                await within(step)
            await within(station.left)

    async def test_stalled(self) -> None:
        """One that falls silent later is given up, too, and no thread waits for it."""
        station = self.station()
        station.sound = MP3 * 40
        stalled: Deferred[None] = Deferred()

        async def listen() -> float:
            heard = 0.0
            async with aclosing((await self.clip(station)).pcm()) as sound:
                async for piece in sound:
                    heard += len(piece) / 2 / RATE
                    if heard >= 6 and not stalled.called:
                        stalled.callback(None)
            return heard

        step = Deferred.fromCoroutine(listen())
        await within(stalled)
        while not step.called:
            await self.room.pool.run(lambda: None)
            self.clock.advance(SILENCE / 10)
        with self.assertRaisesRegex(ServiceError, "stalled for 15 s"):
            await step
        self.assertEqual(self.room.pool.running_calls, 0)
        await within(station.left)

    async def test_cancelled(self) -> None:
        """Who turns the radio off while it is silent hangs up."""
        station = self.station()
        station.sound = b""
        sound = (await self.clip(station)).pcm()
        step = Deferred.fromCoroutine(_first(sound))
        await within(station.came)
        step.addErrback(lambda failure: None)
        step.cancel()
        await within(station.left)

    async def test_called_again(self) -> None:
        """One that breaks off after a while is called again; one that does so at once is not."""
        station = self.station()
        station.hangs_up = True
        self.assertIn("it ended", await self.why(station))
        self.assertEqual(len(station.requests), 1)
        self.patch(stations, "_WELL", SECONDS / 2)
        calls = 0.0
        async with aclosing((await self.clip(station)).pcm()) as sound:
            async for piece in sound:
                calls += len(piece) / 2 / RATE / SECONDS
                if calls > 2.5:
                    break
        self.assertEqual(len(station.requests), 4)

    async def test_to_the_end(self) -> None:
        """All is heard that a station sends, be it little, or as much as MP3 can be."""
        for sound, seconds in ((MP3 * 4, 2.0), (DENSE * 400, 400 * 1152 / 44100)):
            station = self.station()
            station.sound, station.hangs_up = sound, True
            heard = 0
            with self.assertRaisesRegex(ServiceError, "it ended"):
                async for piece in (await self.clip(station)).pcm():
                    heard += len(piece)
            self.assertApproximates(heard / 2 / RATE, seconds, 0.3)

    async def test_redirected(self) -> None:
        """Redirections are followed, and lists of either kind; not for ever."""
        station = self.station()
        station.goes_on = True
        for head, headers, body in (
            ("HTTP/1.1 302 Found", {"Location": station.url}, ""),
            ("HTTP/1.0 200 OK", {"Content-Type": "audio/x-mpegurl"}, f"#EXTM3U\n{station.url}\n"),
            (
                "HTTP/1.0 200 OK",
                {"Content-Type": "audio/x-scpls"},
                f"[playlist]\nNumberOfEntries=1\nFile1={station.url}\nTitle1=x\n",
            ),
        ):
            leading = self.station(head, **headers)
            leading.sound = body.encode()
            leading.hangs_up = True
            async with aclosing((await self.clip(leading)).pcm()) as sound:
                self.assertTrue(await anext(sound))
        around = self.station("HTTP/1.1 302 Found")
        around.headers["Location"] = around.url
        self.assertIn("from one address to the next", await self.why(around))

    async def test_refused(self) -> None:
        """What is no MP3, and what is no station, is a ServiceError that says so."""
        for head, headers, body, why in (
            ("HTTP/1.0 200 OK", {"Content_Type": "audio/aacp"}, b"", "audio/aacp"),
            (
                "HTTP/1.0 200 OK",
                {"Content_Type": "application/vnd.apple.mpegurl"},
                b"#EXTM3U\n#EXT-X-VERSION:3\nhttp://127.0.0.1/1.ts\n",
                "HLS",
            ),
            ("HTTP/1.0 404 Not Found", {}, b"", "404"),
            ("HTTP/1.1 302 Found", {"Location": "file:///etc/passwd"}, b"", "no address"),
            ("SSH-2.0-OpenSSH_9.6", {}, b"", "no answer of HTTP"),
            ("HTTP/1.0 200 OK", {"x": "y" * 100_000}, b"", ""),
            ("HTTP/1.0 200 OK", {f"x{n}": "y" for n in range(200)}, b"", "no end"),
            ("HTTP/1.0 200 OK", {}, b"<html>Not here.</html>" * 9000, "no sound"),
        ):
            station = self.station(head, **headers)
            station.sound = body
            station.hangs_up = True
            self.assertIn(why, await self.why(station))

    async def test_house(self) -> None:
        """A directory outside cannot have the server ask something in the house."""
        station = self.station()
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1"):
            with self.assertRaisesRegex(ServiceError, "cannot be in this house"):
                await collect(self.from_outside(station.url.replace("127.0.0.1", host)))
        self.assertEqual(station.calls, 0)

    async def test_moving_name(self) -> None:
        """A name is looked up once, and of where it leads only what is outside is connected to."""
        station = self.station("HTTP/1.0 302 Found", Location="http://elsewhere/")
        port = int(station.url.split(":")[2].split("/")[0])
        asked: list[str] = []
        here = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]  # nobody is at the second

        def looked_up(host: str, *_: Any, **__: Any) -> Sequence[Any]:
            asked.append(host)
            places = ["127.0.0.2"] if host == "elsewhere" or asked.count(host) > 1 else here
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in places]

        self.patch(icecast, "_HOUSE", Networks(["127.0.0.2/32"]))
        self.patch(socket, "getaddrinfo", looked_up)
        with self.assertRaisesRegex(ServiceError, "elsewhere.* cannot be in this house"):
            await collect(self.from_outside(station.url.replace("127.0.0.1", "station")))
        self.assertEqual((asked, station.calls), (["station", "elsewhere"], 1))

    def from_outside(self, url: str) -> AsyncGenerator[bytes, None]:
        """Listen to a station that a directory outside has told."""
        return from_aio_stream(partial(listen, url, create_default_context(), near=False))

    async def test_unreachable(self) -> None:
        """A station that is not there is a ServiceError."""
        station = self.station()
        await station.stop()
        self.assertIn("127.0.0.1", await self.why(station))


class FindingTests(Failures, RadioCase):
    def made(self, timeout_s: float = 5.0) -> tuple[Kit, Web]:
        self.live = self.station()
        self.live.goes_on = True
        web = self.web(self.directory)
        stations = {"中国之声": self.live.url, "News Radio": f"{self.live.url}&news"}
        return self.kit(stations=stations, directory_url=web.url, timeout_s=timeout_s), web

    def directory(self, asked: Asked) -> Reply:
        """Answer as radio-browser.info does."""
        assert asked.path == "/json/stations/search"
        args = asked.args
        assert (args["codec"], args["order"], args["reverse"]) == ("MP3", "clickcount", "true")
        listed: list[dict[str, Any]] = [
            {
                "stationuuid": "960e57c5-0601-11e8-ae97-52543be04c81",
                "name": f" Jazz {number}\t",
                "url": "http://127.0.0.1:1/moved.m3u",
                "url_resolved": self.live.url,
                "codec": "MP3",
                "bitrate": 128,
                "hls": int(number == 0),
                "lastcheckok": 1,
                "tags": "jazz",
            }
            for number in range(3)
        ]
        return Reply(listed if args.get("tag") == "jazz" else [])

    async def ask(self, kit: Kit) -> Outcome:
        return await call(kit, "play_radio", self.en, station="jazz")

    async def test_own(self) -> None:
        """Stations that are set are found without the directory; the next one follows."""
        kit, web = self.made()
        self.assertEqual(
            (await call(kit, "play_radio", self.zh, station="中国之声")).say, "好，播放中国之声。"
        )
        await call(kit, "control_music", self.zh, action="next")
        self.assertEqual([clip.title for clip in self.zh.clips], ["中国之声", "News Radio"])
        await call(kit, "play_radio", self.en)
        self.assertEqual((self.en.clips[0].title, web.asked), ("中国之声", []))

    async def test_directory(self) -> None:
        """Others are looked up, by name and by what they play, and can be heard."""
        kit, web = self.made()
        self.assertEqual((await self.ask(kit)).say, "Playing Jazz 1.")
        async with aclosing(self.en.clips[0].pcm()) as sound:
            self.assertTrue(await anext(sound))
        self.assertEqual(len(web.asked), 2)
        await self.ask(kit)
        self.assertEqual(len(web.asked), 2)

    async def test_nothing(self) -> None:
        """A station nobody knows is said to be unknown; without any, one is asked for."""
        kit, _ = self.made()
        outcome = await call(kit, "play_radio", self.zh, station="火星电台")
        self.assertEqual((outcome.failed, outcome.say), (True, "没有找到电台火星电台。"))
        bare = self.kit(directory_url="http://127.0.0.1:1")
        self.assertEqual((await call(bare, "play_radio", self.zh)).say, "你想听哪个电台？")

    def test_wrong_address(self) -> None:
        """A station without an address is refused, by its name."""
        with self.assertRaisesRegex(Unavailable, "Loopback"):
            self.kit(stations={"Loopback": "mms://127.0.0.1/"})


async def _first(sound: Any) -> bytes:
    async with aclosing(sound):
        piece: bytes = await anext(sound)
        return piece
