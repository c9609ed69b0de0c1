"""A real server whose mind is a script, and whose voice is a short tone: for talks with tools."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults

from tests.fakes import tone
from tests.openai_llm import OpenAIServer, called
from tests.openai_tts import SpeechServer
from tests.system.server import ServerCase, reactor
from xiaozhi.device.client import Device
from xiaozhi.device.mcp import Server
from xiaozhi.device.ota import Profile
from xiaozhi.device.turns import Turn

SERVER: Final = """
asr: [{{use: pocketsphinx}}]
llm: [{{use: openai, base_url: "{mind}", api_key: sk-mind, model: m, timeout_s: 1.5}}]
tts: [{{use: openai, base_url: "{voice}", api_key: sk-voice}}]
memory: [{{use: local, model: false}}]
"""

Script = Sequence[Any]
"""One answer of the model's, as `OpenAIServer` is given it."""


def calling(name: str, /, **arguments: Any) -> list[Any]:
    """Write a call as OpenAI streams it."""
    (begun,) = called(f"0:call_1:{name}:")
    rest = {"index": 0, "function": {"arguments": json.dumps(arguments)}}
    return [begun, {"tool_calls": [rest]}]


class ToolCase(ServerCase):
    """What the model says to each question, step by step, is in `lines`."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="xiaozhi-")
        self.addCleanup(folder.cleanup)
        self.state = folder.name
        self.lines: dict[str, Sequence[Any]] = {}
        self.mind = OpenAIServer()
        self.mind.choose = self.choose
        self.voice = SpeechServer(tone(0.1, 24000))
        for one in (self.mind, self.voice):
            self.addCleanup(one.stop)

    def choose(self, body: dict[str, Any]) -> Any:
        """Take the line that is next, by the question and the steps since."""
        messages = body["messages"]
        last = max(at for at, told in enumerate(messages) if told["role"] == "user")
        steps = sum(told["role"] == "assistant" for told in messages[last:])
        lines = self.lines.get(messages[last]["content"], [["Hello there."]])
        return lines[min(steps, len(lines) - 1)]

    async def begin(self, more: str = "", *ready: str) -> int:
        """Start a server with what is needed, and `more`; give its port."""
        settings = SERVER.format(mind=self.mind.url, voice=self.voice.url) + more
        self.port = await self.server(settings, *ready, STATE_DIRECTORY=self.state)
        return self.port

    async def one(self, name: str, tools: Server | None = None, **more: Any) -> Device:
        """Connect a device of that name, whose tools are known."""
        before = self.process.text.count("the device has")
        address = f"http://127.0.0.1:{self.port}/xiaozhi/ota/"
        profile = Profile(address, device_id=name, client_id=name, language="en")
        device = Device(reactor, profile, tools=tools, **more)
        self.addCleanup(device.close)
        await device.connect()
        await self.eventually(lambda: self.process.text.count("the device has") > before)
        return device

    async def ask(self, device: Device, question: str, *lines: Any) -> Turn:
        """Type a question, to which the model has these `lines`; hear the answer out."""
        self.lines[question] = lines or [["Hello there."]]
        turn = await device.type(question, timeout=20)
        self.assertTrue(turn.whole, f"{turn.summary()}\n{self.process.text[-3000:]}")
        self.assertEqual(device.complaints, [])
        return turn

    async def ask_all(self, lines: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        """Ask each of some questions on a device of its own, all at once; give the sentences."""
        devices = [await self.one(f"device-{number}") for number in range(len(lines))]
        turns = await gatherResults(
            [
                Deferred.fromCoroutine(self.ask(device, question, *lines[question]))
                for device, question in zip(devices, lines, strict=True)
            ],
            consumeErrors=True,
        )
        for device in devices:
            device.close()
        return {question: turn.sentences for question, turn in zip(lines, turns, strict=True)}

    def asked(self, question: str) -> list[dict[str, Any]]:
        """Give what the model was asked in the turn of a question."""
        bodies = [asked.body for asked in self.mind.asked]
        return [
            body
            for body in bodies
            if [told["content"] for told in body["messages"] if told["role"] == "user"][-1]
            == question
        ]
