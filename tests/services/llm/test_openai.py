"""OpenAI-compatible chat, against a server on loopback."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.openai_llm import BREAK, CALLED, STALL, OpenAIServer, Refusal, called
from tests.services.llm import contract
from tests.services.llm.contract import ASKED, TIME, first
from tests.services.streams import collect, within
from tests.test_toolcalls import ONE
from xiaozhi.errors import Refused, ServiceError, Unavailable
from xiaozhi.services.engine import Workshop
from xiaozhi.services.llm import Message, Minds
from xiaozhi.services.llm.openai import Model, Settings
from xiaozhi.services.pool import Workers
from xiaozhi.services.standby import Standby
from xiaozhi.tooling import Call

KEY = "sk-very-secret"


class StandbyTests(contract.ModelContract):
    """A model that is made by the pool when it is first asked is a model like any."""

    def model(self, **settings: Any) -> Any:
        server = OpenAIServer("My name is 小智.")
        self.addCleanup(server.stop)
        shop = self.workshop()
        make = partial(Model, Settings(base_url=server.url, **settings), shop)
        return self.started(Standby("llm", make, shop.pool, reactor))


class OpenAITests(contract.ModelContract):
    def setUp(self) -> None:
        self.server = OpenAIServer("My name", " is", " Xiǎozhì, 小智.")
        self.addCleanup(self.server.stop)

    def model(self, **settings: Any) -> Model:
        settings = {"base_url": self.server.url, "api_key": KEY, "model": "gpt-x"} | settings
        return self.started(Model(Settings(**settings), self.workshop()))

    async def why(self, model: Model | None = None) -> str:
        """Return why the reply failed, and check that it says where but no secret."""
        why = (await self.failure(model or self.model())).why
        self.assertTrue(why.startswith(f"{self.server.url}, gpt-x: "), why)
        self.assertNotIn(KEY, why)
        return why.partition("gpt-x: ")[2]

    async def test_request(self) -> None:
        """The conversation, the model and the settings are sent as the API has them."""
        model = self.model(max_tokens=50, temperature=0.5)
        said = [*ASKED, Message("assistant", "小智"), Message("user", "And mine?")]
        self.assertEqual(
            await collect(model.reply(said, "en")), ["My name", " is", " Xiǎozhì, 小智."]
        )
        ((body, key),) = self.server.asked
        self.assertEqual(key, KEY)
        self.assertEqual(
            body,
            {
                "model": "gpt-x",
                "stream": True,
                "max_tokens": 50,
                "temperature": 0.5,
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "What is your name?"},
                    {"role": "assistant", "content": "小智"},
                    {"role": "user", "content": "And mine?"},
                ],
            },
        )

    async def test_no_settings(self) -> None:
        """What is not set is left to the server; a server of one's own needs no key."""
        await collect(self.model(api_key="").reply(ASKED, "en"))
        self.assertEqual(set(self.server.asked[0].body), {"model", "stream", "messages"})

    async def test_no_text(self) -> None:
        """Chunks without text are nothing: thoughts, null, no choices, no delta."""
        self.server.script = (
            b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"Hm."}}]}\n\n',
            b": a comment, as some servers send to keep the line open\n\n",
            b'data: {"choices":[{"index":0,"delta":{"content":null,"tool_calls":[]}}]}\n\n',
            b'data: {"choices":[]}\n\n',
            b'data: {"choices":null}\n\n',
            b'data: {"choices":[{"index":0}]}\n\n',
            b'data: {"choices":[{"index":0,"delta":null}]}\n\n',
            b'data: {"choices":[{"index":0,"delta":{"content":7}}]}\n\n',
            "Yes",
        )
        self.assertEqual(await collect(self.model().reply(ASKED, "en")), ["Yes"])

    async def test_calls(self) -> None:
        """Calls come as they are complete, however the server streams them."""
        for kind, told in CALLED.items():
            self.server.script = ("Let me see.", *called(told), STALL)
            async with aclosing(self.model().reply(ASKED, "en", [TIME])) as pieces:
                self.assertEqual(await anext(pieces), "Let me see.", kind)
                call = await anext(pieces)
                assert isinstance(call, Call)
                self.assertEqual((call.name, call.arguments), ("get_time", '{"city":"x"}'), kind)

    async def test_written_calls(self) -> None:
        """A call in any form of text is one that the list of models yields, and no text."""
        minds = Minds([("m", self.model())], reactor)
        for form, text in ONE.items():
            pieces = [text[at : at + 5] for at in range(0, len(text), 5)]
            self.server.script = ("Let me see. ", *pieces, "\nDone.")
            answer = await collect(minds.reply(ASKED, "en", [TIME]))
            said = "".join(piece for piece in answer if isinstance(piece, str))
            calls = [piece.name for piece in answer if isinstance(piece, Call)]
            self.assertEqual((said, calls), ("Let me see. \nDone.", ["get_time"]), form)

    async def test_unfinished_calls(self) -> None:
        """A call with broken arguments is one; one that breaks off with the answer is none."""
        half = tuple(called('0:call_1:get_time:{"city'))
        self.server.script = half
        calls = await collect(self.model().reply(ASKED, "en", [TIME]))
        self.assertEqual(calls, [Call("call_1", "get_time", '{"city')])
        self.server.script = (*half, BREAK)
        self.assertIn("peer closed connection", await self.why())

    async def test_request_with_tools(self) -> None:
        """Tools, calls and results are sent as the API has them; arguments always as JSON."""
        calls = (Call("1", "get_time", "{'city': 'x',}"), Call("2", "a.b", "{what"))
        said = [
            *ASKED,
            Message("assistant", "", calls),
            Message("tool", "15:05", call_id="1"),
            Message("tool", "there is no such tool", call_id="2"),
        ]
        await collect(self.model().reply(said, "en", [TIME]))
        body = self.server.asked[0].body
        self.assertEqual(
            body["tools"],
            [
                {
                    "type": "function",
                    "function": {
                        "name": "get_time",
                        "description": "Tell the time of a city.",
                        "parameters": TIME.schema,
                    },
                }
            ],
        )
        told = [
            {
                "id": "1",
                "type": "function",
                "function": {"name": "get_time", "arguments": '{"city": "x"}'},
            },
            {"id": "2", "type": "function", "function": {"name": "a_b", "arguments": "{}"}},
        ]
        self.assertEqual(
            body["messages"][2:],
            [
                {"role": "assistant", "content": "", "tool_calls": told},
                {"role": "tool", "content": "15:05", "tool_call_id": "1"},
                {"role": "tool", "content": "there is no such tool", "tool_call_id": "2"},
            ],
        )

    async def test_takes_no_tools(self) -> None:
        """A server that refuses tools is told in words: at once, and from then on."""
        self.server.toolless = Refusal(404, "No endpoints found that support tool use.")
        model = self.model()
        for _ in range(2):
            self.assertTrue(await collect(model.reply(ASKED, "en", [TIME])))
        first, *rest = [body for body, _ in self.server.asked]
        self.assertIn("tools", first)
        self.assertEqual(len(rest), 2)
        for body in rest:
            self.assertNotIn("tools", body)
            self.assertIn("get_time", body["messages"][0]["content"])

    async def test_takes_not_this_tool(self) -> None:
        """One that refuses a tool for its schema is asked with the next ones again."""
        self.server.toolless = Refusal(400, "Invalid schema for function 'get_time'")
        model = self.model()
        for _ in range(2):
            self.assertTrue(await collect(model.reply(ASKED, "en", [TIME])))
        self.assertEqual(["tools" in body for body, _ in self.server.asked], [True, False] * 2)

    async def test_other_refusals(self) -> None:
        """A refusal for other reasons, or of words, is one."""
        self.server.refusal = Refusal(400, "The context is too long")
        model = self.model()
        with self.assertRaises(Refused):
            await collect(model.reply(ASKED, "en", [TIME]))
        self.server.refusal = Refusal(400, "I take no tools")
        with self.assertRaises(Refused):
            await collect(model.reply(ASKED, "en"))
        for status in (429, 500):
            self.server.refusal = Refusal(status, "Too many tools at work")
            with self.assertRaises(ServiceError):
                await collect(model.reply(ASKED, "en", [TIME]))
        self.assertEqual(len(self.server.asked), 4, "asked once each")

    async def test_forms(self) -> None:
        """Models can be told of tools in words, or not at all, if that is set."""
        said = [
            *ASKED,
            Message("assistant", "", (Call("1", "get_time"),)),
            Message("tool", "5", (), "1"),
        ]
        for form, told in (("text", True), ("none", False)):
            await collect(self.model(tools=form).reply(said, "en", [TIME]))
            body = self.server.asked[-1].body
            self.assertNotIn("tools", body)
            self.assertEqual("# Tools" in body["messages"][0]["content"], told)
            self.assertEqual([set(m) for m in body["messages"]], [{"role", "content"}] * 4)
            self.assertIn("<tool_response>\n5", body["messages"][3]["content"])

    async def test_close_stops_the_server(self) -> None:
        """Closing the answer breaks the connection, so that the server stops as well."""
        self.server.script = ("One", STALL)
        async with aclosing(self.model().reply(ASKED, "en")) as pieces:
            self.assertEqual(await anext(pieces), "One")
            self.assertFalse(self.server.gone.called)
        await within(self.server.gone)

    async def test_cancel_stops_the_server(self) -> None:
        """So does cancelling who waits for a piece."""
        self.server.script = ("One", STALL)
        pieces = self.model().reply(ASKED, "en")
        await anext(pieces)
        waiting = Deferred.fromCoroutine(first(pieces))
        waiting.cancel()
        await within(self.server.gone)
        with self.assertRaises(CancelledError):
            await waiting

    async def test_silence(self) -> None:
        """A server that says no more fails after the time it may keep silent."""
        self.server.script = ("One", STALL)
        self.assertEqual(await self.why(self.model(timeout_s=0.05)), "timed out")

    async def test_broken_off(self) -> None:
        """A connection that breaks in the middle is a failure, not an end."""
        self.server.script = ("One", BREAK)
        self.assertIn("peer closed connection", await self.why())

    async def test_cut_short(self) -> None:
        """So is an answer that ends before its end, if the server is one that tells its end."""
        begun = (
            b'data: {"choices":[{"index":0,"delta":{"content":"One"},"finish_reason":null}]}\n\n'
        )
        self.server.script, self.server.ends = (begun,), False
        self.assertEqual(await self.why(), "the answer broke off")
        self.server.script = (begun.replace(b',"finish_reason":null', b""),)
        self.assertEqual(await collect(self.model().reply(ASKED, "en")), ["One"])

    async def test_declined(self) -> None:
        """An answer that may not be given is a refusal by a model that is well."""
        self.server.script = (
            b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}\n\n',
        )
        self.server.ends = False
        error = await self.failure(self.model())
        self.assertIsInstance(error, Refused)
        self.assertIn("content filter", error.why)

    async def test_kept(self) -> None:
        """Ten answers, one after the other, come over one connection."""
        model = self.model()
        for _ in range(10):
            await collect(model.reply(ASKED, "en"))
        self.assertEqual(self.server.connections, 1)

    async def test_garbage(self) -> None:
        """What is no chat completion is a failure."""
        for garbage in (b"{nonsense", b"[1, 2]", b'"x"', b'{"choices": {"index": 0}}'):
            self.server.script = (b"data: " + garbage + b"\n\n",)
            self.assertRegex(await self.why(), "no chat completion|makes no sense")

    async def test_error_in_stream(self) -> None:
        """An error in the middle of an answer is a failure with its message."""
        self.server.script = ("One", b'data: {"error":{"message":"out of memory"}}\n\n')
        self.assertEqual(await self.why(), "out of memory")

    async def test_refused_key(self) -> None:
        """A refused key is told without what the server says, which may repeat it."""
        self.server.refusal = Refusal(401, f"Incorrect API key provided: {KEY[:6]}***ret")
        self.assertEqual(await self.why(), "HTTP 401, the API key was refused")

    async def test_refusals(self) -> None:
        """Other refusals are told with their message, in short, the key taken out."""
        self.server.refusal = Refusal(429, f"Rate limit\nreached for {KEY}" + " x" * 200)
        why = await self.why()
        self.assertTrue(why.startswith("HTTP 429, Rate limit reached for *** x x"), why)
        self.assertEqual(len(why), 200)
        self.server.refusal = Refusal(500, "The server had an error")
        self.assertEqual(await self.why(), "HTTP 500, The server had an error")
        self.assertEqual(len(self.server.asked), 2, "asked once each: a retry would cost time")

    async def test_nobody_there(self) -> None:
        """A server that is not there is a failure that says where."""
        model = self.model()
        await self.server.stop()
        self.assertIn("connection attempts failed", await self.why(model))

    async def test_after_failure(self) -> None:
        """After a failure the next answer comes."""
        model = self.model()
        self.server.refusal = Refusal(503, "busy")
        await self.why(model)
        self.server.refusal = None
        self.assertTrue(await collect(model.reply(ASKED, "en")))

    async def test_stop(self) -> None:
        """Stopping ends an answer on its way: as a failure."""
        self.server.script = ("One", STALL)
        model = self.model()
        pieces = model.reply(ASKED, "en")
        await anext(pieces)
        await model.stopService()
        await within(self.server.gone)
        with self.assertRaises(ServiceError):
            await anext(pieces)


class SettingsTests(SynchronousTestCase):
    def test_nothing_set(self) -> None:
        """Without a key and an address there is no model."""
        workshop = Workshop(None, Workers(None, "llm"), Path(), "en")
        with self.assertRaisesRegex(Unavailable, "OPENAI_API_KEY"):
            Model(Settings(base_url="", api_key=""), workshop)
