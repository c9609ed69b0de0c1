"""Whole turns with tools: a real server, real devices, a model that does all a model can do."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.openai_llm import BREAK, STALL, Refusal, called
from tests.openai_vision import VisionServer
from tests.pictures import JPEG
from tests.services.mcp.case import running_below
from tests.system import bridges
from tests.system.server import ServerCase, reactor
from tests.system.toolcase import ToolCase, calling
from xiaozhi.device.mcp import Server, Tool, common_tools

PLAIN: Final = '{"name": "calculate", "arguments": {"expression": "6*7"}}'
WRITTEN: Final = {
    "tool_call": f"<tool_call>\n{PLAIN}\n</tool_call>",
    "bare": PLAIN,
    "fenced": f"```json\n{PLAIN}\n```",
    "function": '<function=calculate>{"expression": "6*7"}</function>',
    "Mistral": f"[TOOL_CALLS] [{PLAIN}]",
    "Anthropic": '<invoke name="calculate"><parameter name="expression">6*7</parameter></invoke>',
    "after words": f"One moment. <tool_call>{PLAIN}</tool_call> It is 41.",
}
"""A call as models write it into their text."""
HALF: Final = [*called('0:call_1:calculate: 0:::{"expr')]
BROKEN: Final[dict[str, list[Any]]] = {
    "break off in a call": [[*HALF, BREAK]],
    "break off in a written call": [[WRITTEN["tool_call"][:30], BREAK]],
    "break off in the answer": [calling("calculate", expression="6*7"), ["It is ", BREAK]],
    "break off after the tool": [calling("calculate", expression="6*7"), [BREAK]],
    "refuse": [Refusal(429, "too many", "rate_limit_error")],
    "fail": [Refusal(500, "oh no", "server_error")],
    "stall": [[*HALF, STALL]],
    "stall at once": [[STALL]],
    "no JSON": [[b"data: {nonsense\n\n"]],
    "only call": [calling("calculate", expression="1+1")],
    "call nothing": [calling("no_such_tool"), ["I cannot do that."]],
}
"""What the model does, step by step, when it is asked to."""
MARKUP: Final = re.compile(r"[{}<>\[\]`]|calculate|expression|tool_call|TOOL_CALLS|41")


class Calls(ToolCase):
    """The model calls, in every form there is, and fails in every way."""

    async def test_forms(self) -> None:
        """However a call is written it is done, and nothing of it is shown or spoken."""
        await self.begin()
        forms = {"native": calling("calculate", expression="6*7")}
        forms |= {name: [*pieces(text)] for name, text in WRITTEN.items()}
        lines = {f"work it out, {name}": [form, ["It is 42."]] for name, form in forms.items()}
        said = await self.ask_all(lines)
        for name in forms:
            question = f"work it out, {name}"
            first = ["One moment."] if name == "after words" else []
            self.assertEqual(said[question], [*first, "It is 42."], name)
            _, answered = self.asked(question)
            *_, call, result = answered["messages"]
            self.assertEqual(call["tool_calls"][0]["function"]["name"], "calculate", name)
            self.assertEqual((result["role"], result["content"]), ("tool", "6*7 = 42"), name)
        for asked in self.voice.asked:
            self.assertNotRegex(asked.body["input"], MARKUP)

    async def test_failures(self) -> None:
        """Whatever becomes of a call, it ends in a sentence."""
        await self.begin()
        garbage = [*called("0:call_1:calculate:@@@")]
        lines = {f"please {name}": line for name, line in BROKEN.items()}
        lines["write garbage"] = [garbage, garbage, ["I give up."]]
        said = await self.ask_all(lines)
        for question, sentences in said.items():
            self.assertTrue(sentences, question)
            self.assertNotRegex(" ".join(sentences), MARKUP)
        self.assertEqual(said["please break off in the answer"][-1], "Sorry, I lost my thread.")
        self.assertEqual(said["please call nothing"], ["I cannot do that."])
        self.assertEqual(said["write garbage"], ["I give up."])
        for name in ("break off after the tool", "only call"):  # what the tool has to say is said
            self.assertRegex(said[f"please {name}"][-1], r"^That is (42|2)\.$")
        first, second, third = self.asked("write garbage")
        self.assertEqual(["tools" in body for body in (first, second, third)], [True, True, False])
        self.assertIn("参数解析失败", second["messages"][-1]["content"])
        device = await self.one("device-99")
        turn = await self.ask(device, "and now", ["All is well."])
        self.assertEqual(turn.answer, "All is well.")


class Devices(ToolCase):
    """The device has tools of its own."""

    async def test_volume_and_photo(self) -> None:
        """The model turns the volume; it has a photo taken, and nothing is said meanwhile."""
        eyes = VisionServer("A field, blue and red.")
        self.addCleanup(eyes.stop)
        await self.begin(f"vision: {{base_url: '{eyes.url}', api_key: sk-eyes, model: eyes}}\n")
        device = await self.one("aa:01", picture=lambda: JPEG)
        louder = calling("self_audio_speaker_set_volume", volume=35)
        turn = await self.ask(device, "a bit less, dear", louder, ["So be it."])
        self.assertEqual(turn.answer, "So be it.")
        told = await self.ask(device, "how are you set", calling("self_get_device_status"), ["OK."])
        self.assertEqual(told.answer, "OK.")
        status = json.loads(self.asked("how are you set")[-1]["messages"][-1]["content"])
        self.assertEqual(status["audio_speaker"]["volume"], 35)

        photo = calling("self_camera_take_photo", question="what is there?")
        turn = await self.ask(device, "what do you see", photo, ["I see a field."])
        self.assertEqual(turn.sentences, ["I see a field."])
        (seen,) = eyes.seen
        self.assertEqual((seen.data, seen.question), (JPEG, "what is there?"))
        result = self.asked("what do you see")[-1]["messages"][-1]["content"]
        self.assertIn("A field, blue and red.", result)

    async def test_no_ear(self) -> None:
        """While a device's tool runs nothing is spoken, however long."""

        def slowly(arguments: dict[str, Any]) -> Deferred[str]:
            done.append(reactor.seconds() + 2.5)
            return deferLater(reactor, 2.5, lambda: "it is done")

        done: list[float] = []
        await self.begin()
        tools = Server([*common_tools(), Tool("self.arm.wave", "Wave.", slowly)])
        device = await self.one("aa:01", tools)
        turn = await self.ask(device, "please wave", calling("self_arm_wave"), ["I waved."])
        self.assertEqual(turn.sentences, ["I waved."])
        assert turn.answered_at is not None
        self.assertGreaterEqual(turn.answered_at, done[0])

    async def test_apart(self) -> None:
        """Of two devices in one server neither is told anything of the other."""
        await self.begin(
            "assistant:\n  roles:\n"
            + "".join(f"  - {{name: {who}, prompt: 'You are a {who}.'}}\n" for who in ROLES)
        )
        devices = {
            who: await self.one(
                f"{who}:01", Server([Tool(f"self.{who}.go", "Go.", lambda _: True)])
            )
            for who in ROLES
        }
        for question in (
            "become the {who}",
            "my name is {who} Smith, and I like {who} pie",
            "go with {who}",
            "tell {who} more",
            "tell {who} most",
        ):
            both = []
            for who, device in devices.items():
                asked = question.format(who=who)
                steps: list[Any] = [[f"Well, {who}."]]
                if question.startswith("become"):
                    steps = [calling("change_role", name=who)]
                if question.startswith("go"):
                    steps = [calling(f"self_{who}_go"), *steps]
                both.append(Deferred.fromCoroutine(self.ask(device, asked, *steps)))
            for each in both:
                await each
        one, other = ROLES
        for who, stranger in ((one, other), (other, one)):
            bodies = self.asked(f"tell {who} most")
            self.assertEqual(len(bodies), 1)
            for question in ("go with {}", "tell {} more", "tell {} most"):
                for body in self.asked(question.format(who)):
                    text = json.dumps(body)
                    self.assertNotIn(stranger, text)
                    self.assertIn(f"You are a {who}.", text)
                    self.assertIn(f"self_{who}_go", text)
                    self.assertIn(f"I like {who} pie", text)


ROLES: Final = ("walrus", "badger")


class Memory(ToolCase):
    """What was said is known in the next session, until it is to be forgotten."""

    async def test_known_and_forgotten(self) -> None:
        """A fact outlives a restart; what is to be forgotten is gone, and of one device only."""
        await self.begin()
        for number, name in ((1, "Zebulon"), (2, "Ottilie")):
            device = await self.one(f"aa:0{number}")
            await self.ask(device, f"Hello, my name is {name}.")
            device.close()
        await self.process.says(r"(?s)(is learnt from.*){2}")
        self.process.handle.signalProcess(signal.SIGTERM)
        await self.process.ended

        await self.begin()
        device = await self.one("aa:01")
        await self.ask(device, "who am I")
        system = self.asked("who am I")[-1]["messages"][0]["content"]
        self.assertIn("Zebulon", system)
        self.assertNotIn("Ottilie", system)
        turn = await self.ask(device, "erase my name, please", calling("forget", what="everything"))
        self.assertTrue(turn.sentences)
        device.close()
        for number, name, known in ((1, "Zebulon", False), (2, "Ottilie", True)):
            device = await self.one(f"aa:0{number}")
            await self.ask(device, f"what is my name, {number}")
            body = json.dumps(self.asked(f"what is my name, {number}")[-1])
            self.assertEqual(name in body, known, body)


class Links(ToolCase):
    """An MCP server of the official package, over stdio."""

    async def test_killed(self) -> None:
        """Its tools are called; killed in the middle of a call, it is back for the next."""
        ours = {"command": sys.executable, "args": ["-P", bridges.PROGRAM, "stdio"]}
        await self.begin(f"mcp: {json.dumps({'servers': {'one': ours}})}\n", "one: 10 tools")
        device = await self.one("aa:01")
        turn = await self.ask(device, "how much", calling("add", a=2, b=40), ["It is 42."])
        self.assertEqual(turn.answer, "It is 42.")
        self.assertEqual(self.asked("how much")[-1]["messages"][-1]["content"], "42")

        waiting = Deferred.fromCoroutine(
            self.ask(device, "wait for it", calling("wait"), ["It is broken."])
        )
        await self.process.says("begun")
        (child,) = running_below(self.process.handle.pid)
        os.kill(child, signal.SIGKILL)
        turn = await waiting
        self.assertEqual(turn.sentences[-1], "It is broken.")
        self.assertIn("失败", self.asked("wait for it")[-1]["messages"][-1]["content"])

        await self.process.says(r"(?s)(one: 10 tools.*){2}")
        turn = await self.ask(device, "once more", calling("add", a=1, b=2), ["It is 3."])
        self.assertEqual(self.asked("once more")[-1]["messages"][-1]["content"], "3")


class Embedded(ServerCase):
    """The model in the server's own process."""

    async def test_llamacpp(self) -> None:
        """With all tools there are, llama.cpp answers a question, and no JSON is spoken."""
        port = await self.server(
            "asr: [{use: pocketsphinx}]\ntts: [{use: espeak}]\n"
            "llm: [{use: llamacpp, max_tokens: 24, temperature: 0.0}]\n"
        )
        device = self.device(port, language="en")
        turn = await device.type("Is the sun hot? Answer in one short sentence.", timeout=60)
        self.assertTrue(turn.whole, f"{turn.summary()}\n{self.process.text}")
        self.assertNotIn("Sorry", turn.answer)
        self.assertRegex(turn.answer.lower(), r"\b(sun|hot|yes)\b")
        self.assertNotRegex(turn.answer, r"[{}<>\[\]`]")


def pieces(text: str) -> list[str]:
    """Cut a text as a model streams it."""
    return [text[start : start + 3] for start in range(0, len(text), 3)]
