"""Pages of the web, in time and of bounded length, from a server on loopback."""

from __future__ import annotations

import gzip
from threading import Event
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.services.streams import within
from tests.tools.cases import ToolCase
from tests.tools.web import ENDLESS, FAULTS, STALLS, Asked, Reply, Web
from xiaozhi.errors import Refused, ServiceError
from xiaozhi.services.fetching import Fetcher, Page

LARGEST = 100_000


class FetchingTests(ToolCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.no_tasks)

    def made(self, reply: Reply, patience: float = 5.0) -> tuple[Fetcher, Web]:
        web = self.web(lambda asked: reply)
        fetcher = Fetcher(self.clock, self.room.pool, patience, LARGEST)
        self.addCleanup(fetcher.stop)
        return fetcher, web

    async def why(self, fetcher: Fetcher, url: str) -> ServiceError:
        with self.assertRaises(ServiceError) as caught:
            await fetcher.fetch(url)
        error: ServiceError = caught.exception
        return error

    async def test_asked(self) -> None:
        """Parameters, headers and JSON are sent; what comes is given with its kind."""
        fetcher, web = self.made(Reply(b"hello", headers={"Content-Type": "text/plain"}))
        page = await fetcher.fetch(web.url, {"q": "你好 & more"}, {"X-Key": "k"})
        self.assertEqual(page, Page(b"hello", "text/plain"))
        await fetcher.fetch(web.url, json={"a": [1]})
        got, posted = web.asked
        self.assertEqual((got.args, got.headers["x-key"]), ({"q": "你好 & more"}, "k"))
        self.assertEqual((posted.method, posted.json()), ("POST", {"a": [1]}))
        self.assertEqual(web.connections, 1)

    async def test_json(self) -> None:
        """JSON is read as what it should be, a long one in a thread."""
        numbers = list(range(10_000))
        fetcher, web = self.made(Reply(numbers))
        self.assertEqual(await fetcher.json(list[int], web.url), numbers)
        with self.assertRaisesRegex(ServiceError, "cannot be understood"):
            await fetcher.json(dict[str, Any], web.url)

    async def test_packed(self) -> None:
        """What is packed is unpacked, up to the bound."""
        for body, why in (
            (gzip.compress(b"x" * LARGEST), ""),
            (gzip.compress(b"x" * (LARGEST + 1)), "longer than"),
            (gzip.compress(b"\0" * 50_000_000), "longer than"),
            (b"not packed", "packed wrongly"),
        ):
            fetcher, web = self.made(Reply(body, headers={"Content-Encoding": "gzip"}))
            if why:
                self.assertIn(why, (await self.why(fetcher, web.url)).why)
            else:
                self.assertEqual(len((await fetcher.fetch(web.url)).body), LARGEST)
        fetcher, web = self.made(Reply(b"x", headers={"Content-Encoding": "br"}))
        self.assertIn("br", (await self.why(fetcher, web.url)).why)

    async def test_bound(self) -> None:
        """An answer without end is hung up on."""
        fetcher, web = self.made(ENDLESS)
        self.assertIn("longer than", (await self.why(fetcher, web.url)).why)
        await within(web.left)

    async def test_deadline(self) -> None:
        """An answer that does not come in time is hung up on."""
        fetcher, web = self.made(STALLS, patience=0.2)
        self.assertIn("within 0.2 s", (await self.why(fetcher, web.url)).why)
        await within(web.left)

    async def test_no_thread(self) -> None:
        """Who waits for a thread, to connect or to read what came, waits no longer than that."""
        fetcher, web = self.made(Reply(list(range(10_000))), patience=0.2)
        for _ in range(2):
            go = Event()
            self.addCleanup(go.set)
            busy = [self.room.pool.run(go.wait, 30) for _ in range(2)]
            with self.assertRaisesRegex(ServiceError, "within 0.2 s"):
                await within(Deferred.fromCoroutine(fetcher.json(list[int], web.url)))
            go.set()
            for one in busy:
                await one
            await fetcher.fetch(web.url)
        self.assertEqual(len(web.asked), 3)

    async def test_cancelled(self) -> None:
        """Who gives up hangs up."""
        fetcher, web = self.made(STALLS)
        step = Deferred.fromCoroutine(fetcher.fetch(web.url))
        await within(web.came)
        step.cancel()
        with self.assertRaises(CancelledError):
            await step
        await within(web.left)

    async def test_left_alone(self) -> None:
        """A host that says when to come again is not asked before, and others are."""
        fetcher, web = self.made(FAULTS["busy"])
        _, other = self.made(Reply(b"hello"))
        for advance, rest, asked in ((0, 30, 1), (10, 20, 1), (20, 30, 2)):
            self.clock.advance(advance)
            self.assertEqual((await self.why(fetcher, web.url)).rest, rest)
            self.assertEqual(len(web.asked), asked)
        self.assertEqual((await fetcher.fetch(other.url)).body, b"hello")

    async def test_status(self) -> None:
        """An answer that is an error says which, and what the server said."""
        fetcher, web = self.made(FAULTS["refused"])
        error = await self.why(fetcher, web.url)
        self.assertIsInstance(error, Refused)
        self.assertIn("HTTP 400", error.why)
        self.assertIn("a parameter is wrong", error.why)

    async def test_redirected(self) -> None:
        """Redirections are followed, but a key is not carried to another host."""
        fetcher, end = self.made(Reply(b"here"))

        def moved(asked: Asked) -> Reply:
            return Reply(b"", 302, {"Location": end.url})

        begin = self.web(moved)
        headers = {"Authorization": "Bearer secret", "X-Subscription-Token": "secret"}
        # However it is written, it is the host that was meant.
        url = begin.url.replace("127.0.0.1", "LocalHost")
        self.assertEqual((await fetcher.fetch(url, headers=headers)).body, b"here")
        for name in ("authorization", "x-subscription-token"):
            self.assertIn(name, begin.asked[0].headers)
            self.assertNotIn(name, end.asked[0].headers)

    async def test_no_address(self) -> None:
        """What is no address is a ServiceError."""
        fetcher, _ = self.made(Reply())
        for url in ("http://[", "ftp://127.0.0.1/", "http://127.0.0.1:1/", "", "http://\udce4/"):
            self.assertTrue((await self.why(fetcher, url)).why)

    async def test_stopped(self) -> None:
        """Who waits when it stops is told, and so is who comes later: nothing is opened anew."""
        fetcher, web = self.made(STALLS)
        asking = Deferred.fromCoroutine(self.why(fetcher, web.url))
        await within(web.came)
        await fetcher.stop()
        for error in (await within(asking), await self.why(fetcher, web.url)):
            self.assertIn("try again", error.why)
        self.assertEqual(web.connections, 1)
