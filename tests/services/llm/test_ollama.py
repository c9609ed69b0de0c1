"""Ollama, against a server on loopback."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from twisted.internet.task import Clock

from tests.ollama_server import OllamaServer
from tests.openai_llm import BREAK, STALL
from tests.services.llm import contract
from tests.services.llm.contract import ASKED, TIME
from tests.services.streams import collect, settled, within
from xiaozhi.errors import Refused, Unavailable
from xiaozhi.services.llm import Message
from xiaozhi.services.llm.ollama import RETRY, Model, Settings
from xiaozhi.services.warmer import IDLE
from xiaozhi.tooling import Call


class OllamaTests(contract.ModelContract):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = OllamaServer("我叫", "小智", "。")
        self.addCleanup(self.stop_server)

    async def stop_server(self) -> None:
        """Stop the one that is there by then."""
        await self.server.stop()

    def model(self, **settings: Any) -> Model:
        plain = Settings(**({"url": self.server.url} | settings))
        return self.started(Model(plain, self.workshop(self.clock)))

    async def why(self, model: Model | None = None) -> str:
        why = (await self.failure(model or self.model())).why
        self.assertTrue(why.startswith(f"{self.server.url}: "), why)
        return why.removeprefix(f"{self.server.url}: ")

    async def test_request(self) -> None:
        """The conversation goes to the first installed model that can talk."""
        self.server.models = ["nomic-embed-text:latest", "qwen2.5:3b", "llama3.2:latest"]
        model = self.model(max_tokens=50, temperature=0.5, keep_alive="1h")
        self.assertEqual(await collect(model.reply(ASKED, "zh")), ["我叫", "小智", "。"])
        self.assertEqual(
            self.server.asked,
            [
                {
                    "model": "qwen2.5:3b",
                    "stream": True,
                    "think": False,
                    "keep_alive": "1h",
                    "options": {"num_ctx": 8192, "num_predict": 50, "temperature": 0.5},
                    "messages": [
                        {"role": "system", "content": "Be brief."},
                        {"role": "user", "content": "What is your name?"},
                    ],
                }
            ],
        )

    async def test_calls(self) -> None:
        """Tools, calls and results are sent and read as its API has them."""
        wanted = {"function": {"name": "get_time", "arguments": {"city": "x"}}}
        self.server.script = ("Hm.", {"content": "", "tool_calls": [wanted]}, {"tool_calls": None})
        said = [*ASKED, Message("assistant", "", (Call("7", "get_time", '{"city": "y"}'),))]
        said.append(Message("tool", "15:05", call_id="7"))
        pieces = await collect(self.model().reply(said, "en", [TIME]))
        self.assertEqual(pieces, ["Hm.", Call("", "get_time", {"city": "x"})])
        (body,) = self.server.asked
        self.assertEqual(body["tools"][0]["function"]["parameters"], TIME.schema)
        call = {"function": {"name": "get_time", "arguments": {"city": "y"}}}
        self.assertEqual(
            body["messages"][2:],
            [
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "content": "15:05", "tool_name": "get_time"},
            ],
        )

    async def test_takes_no_tools(self) -> None:
        """A model that takes no tools is told of them in words, from then on."""
        self.server.takes_tools = False
        model = self.model()
        for _ in range(2):
            self.assertTrue(await collect(model.reply(ASKED, "en", [TIME])))
        self.assertEqual(["tools" in body for body in self.server.asked], [True, False, False])
        self.assertIn("# Tools", self.server.asked[-1]["messages"][0]["content"])
        await collect(self.model(tools="none").reply(ASKED, "en", [TIME]))
        self.assertEqual(self.server.asked[-1]["messages"][0]["content"], "Be brief.")

    async def test_chosen_model(self) -> None:
        """A model that is chosen is used, with or without its tag."""
        self.server.models = ["qwen2.5:3b", "llama3.2:latest"]
        for name in ("llama3.2", "llama3.2:latest"):
            await collect(self.model(model=name).reply(ASKED, "en"))
            self.assertEqual(self.server.asked[-1]["model"], name)

    async def test_model_missing(self) -> None:
        """A model that is not installed, or none at all, is told with the remedy."""
        self.assertIn("ollama pull phi4", await self.why(self.model(model="phi4")))
        self.server.models = []
        self.assertIn("ollama pull", await self.why())

    async def test_probed_once(self) -> None:
        """One that answers is asked for its models once."""
        model = self.model()
        for _ in range(3):
            await collect(model.reply(ASKED, "en"))
        self.assertEqual(self.server.probes, 1)

    async def test_loaded_at_the_start(self) -> None:
        """The model is loaded before anybody asks, and kept as long as the settings say."""
        self.model(keep_alive="1h")
        await settled()
        options = {"num_ctx": 8192}  # as for what is asked, or it would be loaded again
        loaded = {"model": "qwen2.5:3b", "keep_alive": "1h", "options": options}
        self.assertEqual(self.server.loaded, [loaded])

    async def test_context(self) -> None:
        """What does not fit into the context is left out here, unless the size is Ollama's own."""
        talk = [ASKED[0], Message("user", "x" * 9000), Message("assistant", "y"), ASKED[1]]
        for context, told, size in ((2048, 3, 2048), (None, 4, None)):
            await collect(self.model(context=context).reply(talk, "en"))
            body = self.server.asked[-1]
            self.assertEqual(len(body["messages"]), told)
            self.assertEqual(body["options"].get("num_ctx"), size)

    async def test_warm(self) -> None:
        """Warming loads it again, unless it was used a moment ago; over one connection, all."""
        model = self.model()
        await settled()
        await collect(model.reply(ASKED, "en"))
        for seconds, loaded in ((IDLE - 1, 1), (1, 2)):
            self.clock.advance(seconds)
            model.warm()
            await settled()
            self.assertEqual(len(self.server.loaded), loaded)
        await collect(model.reply(ASKED, "en"))
        self.assertEqual(self.server.connections, 1)

    async def test_absent_at_the_start(self) -> None:
        """One that is not there, or is another server, makes no noise when it is prepared for."""
        await self.model(url=self.server.url + "/nowhere").stopService()
        await self.server.stop()
        model = self.model()
        await settled()
        await model.stopService()
        model.warm()
        self.assertEqual(self.server.loaded, [])

    async def test_refused(self) -> None:
        """A request it will not do is another thing than a server that fails."""
        self.server.status = 400
        self.assertIsInstance(await self.failure(self.model()), Refused)

    async def test_absent(self) -> None:
        """An absent Ollama costs a turn nothing until it is asked again, half a minute later."""
        await self.server.stop()
        model = self.model()
        self.assertIn("no answer", await self.why(model))
        self.server = OllamaServer("Here.", port=self.server.port)
        self.clock.advance(RETRY - 1)
        self.assertIn("no answer", await self.why(model))
        self.assertEqual(self.server.probes, 0)
        self.clock.advance(1)
        self.assertEqual(await collect(model.reply(ASKED, "en")), ["Here."])

    async def test_goes_away(self) -> None:
        """One that has gone is a failure, and one that is back is used, with what it has then."""
        model = self.model()
        await collect(model.reply(ASKED, "en"))
        await self.server.stop()
        await self.why(model)
        self.server = OllamaServer("Back.", port=self.server.port, models=["phi4:latest"])
        self.assertEqual(await collect(model.reply(ASKED, "en")), ["Back."])
        self.assertEqual(self.server.asked[0]["model"], "phi4:latest")

    async def test_model_removed(self) -> None:
        """A model that was removed is a failure once; then another one is found."""
        model = self.model()
        await collect(model.reply(ASKED, "en"))
        self.server.models = ["phi4:latest"]
        self.assertEqual(await self.why(model), "HTTP 404, model 'qwen2.5:3b' not found")
        self.assertTrue(await collect(model.reply(ASKED, "en")))

    async def test_close_stops_the_server(self) -> None:
        """Closing the answer breaks the connection, so that the generation stops."""
        self.server.script = ("One", STALL)
        async with aclosing(self.model().reply(ASKED, "en")) as pieces:
            self.assertEqual(await anext(pieces), "One")
            self.assertFalse(self.server.gone.called)
        await within(self.server.gone)

    async def test_broken_off(self) -> None:
        """An answer that breaks off is a failure, however it does."""
        for script in (("One", BREAK), ("One", b'{"message":{"content":"x"},"error":"oom"}\n')):
            self.server.script = script
            self.assertTrue(await self.why())

    async def test_silence(self) -> None:
        """A server that says no more fails after the time it may keep silent."""
        self.server.script = ("One", STALL)
        self.assertIn("ReadTimeout", await self.why(self.model(timeout_s=0.05)))

    async def test_garbage(self) -> None:
        """What is no chat is a failure."""
        for garbage in (b"nonsense\n", b"[]\n", b'{"message": 5}\n', b"\xff\n"):
            self.server.script = (garbage,)
            self.assertEqual(await self.why(), "sent what is no chat")

    async def test_thoughts(self) -> None:
        """What a model thinks is not part of the answer."""
        thought = b'{"message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}\n'
        self.server.script = (thought, "Yes")
        self.assertEqual(await collect(self.model().reply(ASKED, "en")), ["Yes"])

    async def test_server_error(self) -> None:
        """An error of the server is told."""
        self.server.status = 500
        self.assertEqual(await self.why(), "HTTP 500, llama runner process has terminated")

    async def test_another_server(self) -> None:
        """A server that is no Ollama is told."""
        self.assertIn("404", await self.why_at("/nowhere"))

    async def why_at(self, path: str) -> str:
        return (await self.failure(self.model(url=self.server.url + path))).why

    def test_address(self) -> None:
        """An address that is none is told at the start."""
        with self.assertRaisesRegex(Unavailable, "its url is not an http://"):
            Model(Settings(url="localhost:11434"), None)  # type: ignore[arg-type]

    async def test_impossible_address(self) -> None:
        """One that only httpx2 finds wanting is a failure, and shown without its password."""
        error = await self.failure(self.model(url="http://me:secret@999.1.1.1"))
        self.assertEqual(error.why, "http://999.1.1.1: its address is of no use")
