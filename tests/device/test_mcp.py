"""The tools of the device, in the firmware's dialect."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.device.mcp import PAGE, Server, Tool

VOLUME = "self.audio_speaker.set_volume"


class ServerTest(SynchronousTestCase):
    """Requests and answers."""

    def setUp(self) -> None:
        self.server = Server()

    def ask(self, method: str, **more: Any) -> Any:
        """Ask and read the answer; None if there is none."""
        answer = self.server.answer({"jsonrpc": "2.0", "id": 7, "method": method, **more})
        if answer is None:
            return None
        assert isinstance(answer, str)
        told = json.loads(answer)
        self.assertEqual((told.pop("jsonrpc"), told.pop("id")), ("2.0", 7))
        return told

    def call(self, name: str, **arguments: Any) -> Any:
        return self.ask("tools/call", params={"name": name, "arguments": arguments})

    def test_initialize(self) -> None:
        """It introduces itself, and keeps where pictures go."""
        vision = {"url": "http://x/vision", "token": "t"}
        told = self.ask("initialize", params={"capabilities": {"vision": vision}})
        about = {"name": "xiaozhi-sim", "version": "2.4.2"}
        expected = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}}
        self.assertEqual(told, {"result": expected | {"serverInfo": about}})
        self.assertEqual(self.server.vision, vision)

    def test_the_list(self) -> None:
        """Tools are listed with their schema; the user's own only when asked for."""
        tools = {tool["name"]: tool for tool in self.ask("tools/list")["result"]["tools"]}
        schema = {"type": "integer", "minimum": 0, "maximum": 100}
        expected = {"type": "object", "properties": {"volume": schema}, "required": ["volume"]}
        self.assertEqual(tools[VOLUME]["inputSchema"], expected)
        self.assertNotIn("self.get_system_info", tools)
        both = self.ask("tools/list", params={"withUserTools": True})["result"]["tools"]
        self.assertEqual(both[-1]["annotations"], {"audience": ["user"]})

    def test_pages(self) -> None:
        """A long list comes in pages of 8000 bytes, each naming the first tool of the next."""
        tools = [Tool(f"self.t{n}", "x" * 900, lambda _: "") for n in range(20)]
        self.server = Server(tools)
        names, cursor, pages = [], "", 0
        while True:
            page = self.ask("tools/list", params={"cursor": cursor})["result"]
            self.assertLessEqual(len(json.dumps(page)), PAGE + 50)
            names += [tool["name"] for tool in page["tools"]]
            pages += 1
            if "nextCursor" not in page:
                break
            cursor = page["nextCursor"]
        self.assertEqual((names, pages), ([tool.name for tool in tools], 3))
        told = self.ask("tools/list", params={"cursor": "nobody"})
        self.assertEqual(told, {"error": {"message": "Unknown cursor: nobody"}})

    def test_calls(self) -> None:
        """A call changes what the status tells."""
        told = self.call(VOLUME, volume=31.7)
        self.assertEqual(
            told, {"result": {"content": [{"type": "text", "text": "true"}], "isError": False}}
        )
        status = json.loads(self.call("self.get_device_status")["result"]["content"][0]["text"])
        self.assertEqual(status["audio_speaker"]["volume"], 31)
        self.call("self.screen.set_brightness", brightness=5)
        status = json.loads(self.call("self.get_device_status")["result"]["content"][0]["text"])
        self.assertEqual(status["screen"]["brightness"], 5)

    def test_errors(self) -> None:
        """Errors have a message and no code."""
        for told, message in (
            (self.call("self.nothing"), "Unknown tool: self.nothing"),
            (self.call(VOLUME), "Missing valid argument: volume"),
            (self.call(VOLUME, volume="5"), "Missing valid argument: volume"),
            (self.call(VOLUME, volume=True), "Missing valid argument: volume"),
            (self.call(VOLUME, volume=101), "Value of volume exceeds maximum allowed: 100"),
            (self.call(VOLUME, volume=-1), "Value of volume is below minimum allowed: 0"),
            (self.ask("tools/call", params={}), "Missing name"),
            (self.ask("resources/list"), "Method not implemented: resources/list"),
        ):
            with self.subTest(message=message):
                self.assertEqual(told, {"error": {"message": message}})

    def test_errors_are_not_escaped(self) -> None:
        """A quote in an error's message breaks the JSON, as it does in the firmware."""
        answer = self.server.answer(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 'a"b'}}
        )
        self.assertRaises(ValueError, json.loads, answer or "{}")

    def test_optional_arguments(self) -> None:
        """An argument with a default may be left out, or be of the wrong type."""
        schema = {"question": {"type": "string", "default": "what is it"}}
        self.server = Server([Tool("ask", "", lambda a: a["question"], schema)])
        for arguments in ({}, {"question": 5}):
            told = self.call("ask", **arguments)
            self.assertEqual(told["result"]["content"][0]["text"], "what is it")

    def test_silence(self) -> None:
        """What the firmware does not take for a request is not answered."""
        odds: list[dict[str, Any]] = [
            {"id": "1"},
            {"id": None},
            {"id": True},
            {"params": None},
            {"params": []},
            {"jsonrpc": "1.0"},
            {"method": "notifications/initialized"},
            {"method": 5},
        ]
        for odd in odds:
            with self.subTest(odd=odd):
                request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", **odd}
                self.assertIsNone(self.server.answer(request))
        self.assertIsNone(self.server.answer("tools/list"))
        self.assertIsNone(self.server.answer({"jsonrpc": "2.0", "id": 1, "result": {}}))

    def test_a_tool_that_never_answers(self) -> None:
        """A tool may never answer, so that a server can be tested on it."""
        self.server = Server([Tool("sleep", "", lambda _: None)])
        self.assertIsNone(self.call("sleep"))
