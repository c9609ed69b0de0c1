"""The client that ears, mind and voice share, against a server on loopback."""

from __future__ import annotations

import json
from typing import Any, Final

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services import openai_api
from xiaozhi.services.bridge import from_aio
from xiaozhi.services.openai_api import BadAnswer, Client, Server, Settings
from xiaozhi.services.pool import Workers

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

    def render_GET(self, request: Request) -> Any:
        self.keys.append(request.getHeader("authorization"))
        if self.answer is STALL:
            request.notifyFinish().addErrback(lambda _: self.gone.callback(None))
            self.came.callback(None)
            return NOT_DONE_YET
        status, message = self.answer
        request.setResponseCode(status)
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
        self.pool = Workers(reactor, "asr")
        self.pool.startService()
        self.addCleanup(self.pool.stopService)

    def client(self, key: str = KEY, url: str = "", silence: float = 5.0) -> Client:
        settings = Settings(base_url=url or self.url, api_key=key)
        return self.started(Client.configured("asr", settings, silence, self.pool))

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

    async def test_warm(self) -> None:
        """The server is found at the start, or at the first request if that is wanted."""
        found: list[str] = []
        waiting: Deferred[None] = Deferred()
        where = Server(self.url, KEY, 5.0)

        def find() -> Server:
            found.append("found")
            reactor.callFromThread(waiting.callback, None)  # type: ignore[attr-defined]
            return where

        client = self.started(Client("asr", self.pool, find))
        await waiting
        await self.ask(client)
        self.assertEqual(len(found), 1)
        waiting = Deferred()
        cold = self.started(Client("asr", self.pool, find, warm=False))
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

        client = Client("asr", self.pool, find, warm=False)
        self.addCleanup(client.stopService)
        for _ in range(2):
            await self.assertFailure(self.ask(client), ServiceError)
        await self.ask(client)

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
    def lacks(self, **settings: str) -> str:
        given = Settings(**({"base_url": "", "api_key": ""} | settings))
        with self.assertRaises(Unavailable) as caught:
            Client.configured("llm", given, 1.0, Workers(None, "llm"))
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
