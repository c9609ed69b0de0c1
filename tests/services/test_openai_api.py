"""The client that ears, mind and voice share, against a server on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback
from tests.services.streams import settled, within
from xiaozhi.errors import Refused, ServiceError, Unavailable
from xiaozhi.services import connections, openai_api
from xiaozhi.services.bridge import from_aio
from xiaozhi.services.engine import Workshop
from xiaozhi.services.openai_api import Client, Server, Settings
from xiaozhi.services.openai_errors import BadAnswer
from xiaozhi.services.pool import Workers
from xiaozhi.services.warmer import IDLE

KEY = "sk-very-secret"
STALL: Final = object()
"""An answer that does not come."""


class Models(Resource):
    """Answers every request with `answer`: a status and the words of an error, or a list."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: Any = (200, "")
        self.keys: list[str | None] = []
        self.came: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.hang_up = 0
        """How many requests are answered with the end of the connection."""
        self.retry_after = ""

    def render_GET(self, request: Request) -> Any:
        self.keys.append(request.getHeader("authorization"))
        if not self.came.called:
            self.came.callback(None)
        if self.hang_up:
            self.hang_up -= 1
            assert request.transport is not None
            request.transport.loseConnection()
            return NOT_DONE_YET
        if self.answer is STALL:
            request.notifyFinish().addErrback(lambda _: self.gone.callback(None))
            return NOT_DONE_YET
        status, message = self.answer
        request.setResponseCode(status)
        if self.retry_after:
            request.setHeader("retry-after", self.retry_after)
        if isinstance(message, bytes):
            return message
        request.setHeader("content-type", "application/json")
        found = {"object": "list", "data": []}
        return json.dumps({"error": {"message": message}} if message else found).encode()


class ClientTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.models = Models()
        self.server = Loopback(Folder(v1=Folder(models=self.models)))
        self.addCleanup(self.server.stop)
        self.url = f"http://127.0.0.1:{self.server.port}/v1"
        pool = Workers(reactor, "asr")
        pool.startService()
        self.addCleanup(pool.stopService)
        self.clock = Clock()
        self.workshop = Workshop(self.clock, pool, Path(), "en")

    def client(self, key: str = KEY, url: str = "", silence: float = 5.0) -> Client:
        settings = Settings(base_url=url or self.url, api_key=key, timeout_s=silence)
        return self.started(Client.configured("asr", settings, self.workshop))

    def started(self, client: Client) -> Client:
        client.startService()
        self.addCleanup(lambda: client.stopService() if client.running else None)
        return client

    def ask(self, client: Client) -> Deferred[Any]:
        """Ask for the list of models."""

        async def work() -> Any:
            async with client.asking("m") as api:
                return await api.models.list()

        return from_aio(work())

    async def why(self, client: Client) -> str:
        """Return why a request fails, and check that it says where but no secret."""
        error = await self.assertFailure(self.ask(client), ServiceError)
        self.assertEqual(error.stage, "asr")
        self.assertNotIn("secret", error.why)
        where, _, why = error.why.partition(", m: ")
        self.assertEqual(where, self.url)
        return str(why)

    async def test_key(self) -> None:
        """The key is sent, without the end of its line; a server of one's own needs none."""
        await self.ask(self.client(f"{KEY}\n"))
        await self.ask(self.client(""))
        self.assertEqual(self.models.keys, [f"Bearer {KEY}", "Bearer none"])

    async def test_at_once(self) -> None:
        """The server is found at the start, or at the first request if that is wanted."""
        found: list[str] = []
        waiting: Deferred[None] = Deferred()
        where = Server(self.url, KEY, 5.0)

        def find() -> Server:
            found.append("found")
            reactor.callFromThread(waiting.callback, None)  # type: ignore[attr-defined]
            return where

        client = self.started(Client("asr", self.workshop, find))
        await waiting
        await self.ask(client)
        self.assertEqual(len(found), 1)
        waiting = Deferred()
        cold = self.started(Client("asr", self.workshop, find, at_once=False))
        self.assertEqual(len(found), 1)
        await self.ask(cold)
        self.assertEqual(len(found), 2)

    async def test_not_found(self) -> None:
        """A server that cannot be found is a failure of every request until it can."""
        failures = [ServiceError("asr", "no weights")] * 2

        def find() -> Server:
            if failures:
                raise failures.pop()
            return Server(self.url, KEY, 5.0)

        client = Client("asr", self.workshop, find, at_once=False)
        self.addCleanup(client.stopService)
        for _ in range(2):
            await self.assertFailure(self.ask(client), ServiceError)
        await self.ask(client)

    async def test_kept(self) -> None:
        """Ten requests, one after the other, go over one connection, refused ones too."""
        client = self.client()
        for number in range(10):
            if number == 5:
                self.models.answer = (500, "no")
                await self.why(client)
                self.models.answer = (200, "")
            await self.ask(client)
        self.assertEqual(self.server.connections, 1)

    async def test_closed_by_the_server(self) -> None:
        """A kept connection that the server has closed costs a new one, and no failure."""
        client = self.client()
        await self.ask(client)
        await self.server.hang_up()
        await self.ask(client)
        self.assertEqual(self.server.connections, 2)

    async def test_closed_meanwhile(self) -> None:
        """Nor does one that the server closes when the request is on its way."""
        client = self.client()
        await self.ask(client)
        self.models.hang_up = 1
        await self.ask(client)
        self.assertEqual((self.server.connections, len(self.models.keys)), (2, 3))

    async def test_closed_again(self) -> None:
        """A new connection that breaks is a failure, and the request is not sent once more."""
        client = self.client()
        self.models.hang_up = 9
        await self.why(client)
        self.assertEqual(len(self.models.keys), 1)

    async def test_warm(self) -> None:
        """Warming opens the connection, which the request then uses; the answer is nothing."""
        client = self.client()
        for answer in ((200, ""), (404, "nothing here"), (500, "no"), (200, b"nonsense")):
            self.models.answer = answer
            self.clock.advance(IDLE)
            client.warm()
            await settled()
            self.models.answer = (200, "")
            await self.ask(client)
        self.assertEqual((self.server.connections, len(self.models.keys)), (1, 8))

    async def test_warm_seldom(self) -> None:
        """A connection in use is not warmed, nor one that was warmed just now."""
        client = self.client()
        await self.ask(client)
        self.clock.advance(IDLE - 1)
        client.warm()
        await self.ask(client)
        self.assertEqual(len(self.models.keys), 2)
        self.clock.advance(IDLE)
        for _ in range(3):
            client.warm()
        await settled()
        client.warm()
        await self.ask(client)
        self.assertEqual(len(self.models.keys), 4)

    async def test_warm_in_vain(self) -> None:
        """What stalls or is not there is nobody's concern; stopping ends it."""
        client = self.client()
        self.models.answer = STALL
        client.warm()
        await within(self.models.came)
        await client.stopService()
        await within(self.models.gone)
        client.warm()
        await self.server.stop()
        client.startService()
        client.warm()
        await client.stopService()

    async def test_endless(self) -> None:
        """An answer without an end is given up before it fills the memory."""
        self.patch(connections, "LARGEST", 1000)
        self.models.answer = (200, b"x" * 2000)
        self.assertEqual(await self.why(self.client()), "the answer has no end")

    async def test_not_now(self) -> None:
        """A server may ask to be left alone; a request may be refused by one that is well."""
        client = self.client()
        for status, asked, rest in (
            (429, "7", 7.0),
            (503, "9999", 300.0),
            (429, "Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
            (429, "-1", 0.0),
            (500, "7", 0.0),
        ):
            self.models.answer, self.models.retry_after = (status, "no"), asked
            error = await self.assertFailure(self.ask(client), ServiceError)
            self.assertEqual((error.rest, type(error)), (rest, ServiceError))
        for status, kind in ((400, Refused), (413, Refused), (422, Refused), (404, ServiceError)):
            self.models.answer = (status, "no")
            error = await self.assertFailure(self.ask(client), ServiceError)
            self.assertIs(type(error), kind)

    async def test_refused_key(self) -> None:
        """A refused key is told without what the server says, which may repeat parts of it."""
        for status in (401, 403):
            self.models.answer = (status, f"Incorrect API key provided: {KEY[:9]}***ret")
            self.assertEqual(
                await self.why(self.client()), f"HTTP {status}, the API key was refused"
            )

    async def test_refusals(self) -> None:
        """Other refusals are told with their words, in short, the key taken out; asked once."""
        client = self.client()
        for status in (400, 404, 408, 409, 429, 500, 503):
            self.models.answer = (status, f"No\nmodel for {KEY}" + " x" * 200)
            why = await self.why(client)
            self.assertTrue(why.startswith(f"HTTP {status}, No model for *** x x"), why)
            self.assertEqual(len(why), 200)
        self.assertEqual(len(self.models.keys), 7)

    async def test_impossible_key(self) -> None:
        """A key that cannot be sent is a failure that does not show it."""
        self.assertIn("***", await self.why(self.client("sk-very-\nsecret")))
        self.assertEqual(await self.why(self.client("ключ")), "the text or the key cannot be sent")

    async def test_secret_address(self) -> None:
        """What may be secret in the address is not told."""
        self.models.answer = (500, "no")
        url = self.url.replace("//", "//me:secret@")
        self.assertEqual(await self.why(self.client(url=url)), "HTTP 500, no")

    async def test_impossible_address(self) -> None:
        """An address that only openai finds wanting is a failure, not a defect of ours."""
        client = self.client(url="http://999.1.1.1/v1")
        error = await self.assertFailure(self.ask(client), ServiceError)
        self.assertIn("is of no use", error.why)

    async def test_silence(self) -> None:
        """A server that keeps silent for too long has failed, and is left."""
        self.models.answer = STALL
        self.assertEqual(await self.why(self.client(silence=0.05)), "timed out")
        await self.models.gone

    async def test_nobody_there(self) -> None:
        """A server that is not there is a failure."""
        await self.server.stop()
        self.assertIn("connection attempts failed", await self.why(self.client()))

    async def test_bad_answer(self) -> None:
        """What an engine says of an answer is told as it is; what JSON says of it is not."""
        client = self.client()

        async def work(error: ValueError) -> Any:
            async with client.asking("m"):
                raise error

        for given, told in (
            (BadAnswer("sent a song"), "sent a song"),
            (ValueError(KEY), "the answer makes no sense (ValueError)"),
        ):
            error = await self.assertFailure(from_aio(work(given)), ServiceError)
            self.assertEqual(error.why, f"{self.url}, m: {told}")

    async def test_cancel(self) -> None:
        """Cancelling breaks the request off, and the server sees it."""
        self.models.answer = STALL
        waiting = self.ask(self.client())
        await self.models.came
        waiting.cancel()
        await self.assertFailure(waiting, CancelledError)
        await self.models.gone

    async def test_stop(self) -> None:
        """Stopping closes the connections; a request on its way fails."""
        self.models.answer = STALL
        client = self.client()
        waiting = self.ask(client)
        await self.models.came
        await client.stopService()
        await self.models.gone
        await self.assertFailure(waiting, ServiceError)

    async def test_again(self) -> None:
        """A client that was stopped can be started again."""
        client = self.client()
        await self.ask(client)
        await client.stopService()
        client.startService()
        await self.ask(client)


class ConfiguredTests(SynchronousTestCase):
    def lacks(self, base_url: str = "", api_key: str = "") -> str:
        given = Settings(base_url=base_url, api_key=api_key)
        with self.assertRaises(Unavailable) as caught:
            Client.configured("llm", given, Workshop(None, Workers(None, "llm"), Path(), "en"))
        return str(caught.exception)

    def test_nothing_set(self) -> None:
        """Without a key and an address it says the two ways to give one, in one line."""
        self.assertEqual(self.lacks(), "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set")

    def test_address(self) -> None:
        """An address that is none is told at the start."""
        self.assertIn("its base_url is not", self.lacks(base_url="localhost:8000", api_key=KEY))

    def test_no_package(self) -> None:
        """Without the package it says what to install."""
        self.patch(openai_api, "find_spec", lambda name: None)
        self.assertIn("pip install openai", self.lacks(api_key=KEY))

    def test_repr(self) -> None:
        """A server does not show its key, nor what is secret in its address."""
        server = Server("https://me:secret@host/v1", KEY, 1.0)
        self.assertEqual(server.shown, "https://host/v1")
        self.assertNotIn("secret", repr(server))
