"""MCP servers that come to us, with manners of their own."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import ListToolsResult
from mcp_types import Tool as Listed
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.services.mcp.case import McpCase
from xiaozhi.services.mcp import session
from xiaozhi.services.mcp.guest import Guest
from xiaozhi.services.mcp.listing import offered


class Restless:
    """A server that says at each list of its tools that it has others."""

    def __init__(self, *tools: Any) -> None:
        self.tools = tools
        self.guest = Guest(self.answer, lambda why: self.guest.gone())
        self.listed: list[float] = []
        """When it was asked for a list."""
        self.most = 1000
        """How many lists it gives."""
        self.asked_thrice: Deferred[None] = Deferred()

    def answer(self, text: str) -> None:
        told = json.loads(text)
        match told["method"]:
            case "initialize":
                version = told["params"]["protocolVersion"]
                capable = {"tools": {"listChanged": True}}
                self.say(
                    id=told["id"],
                    result={
                        "protocolVersion": version,
                        "capabilities": capable,
                        "serverInfo": {"name": "restless", "version": "1"},
                    },
                )
            case "tools/list":
                self.listed.append(reactor.seconds())
                if len(self.listed) > self.most:
                    return
                self.say(method="notifications/tools/list_changed")
                self.say(id=told["id"], result={"tools": self.tools})
                if len(self.listed) == 3:
                    self.asked_thrice.callback(None)

    def say(self, **message: Any) -> None:
        self.guest.feed(json.dumps({"jsonrpc": "2.0", **message}))


class GuestTests(McpCase):
    async def test_restless(self) -> None:
        """A server that always has other tools is asked for them now and then only."""
        self.patch(session, "CALM", 0.1)
        server = Restless({"name": "hop", "inputSchema": {"type": "object"}})
        self.servers.welcome(server.guest, "token", None)
        await server.asked_thrice.addTimeout(10, reactor)
        first, second, third = server.listed
        self.assertGreaterEqual(min(second - first, third - second), 0.09)
        self.assertEqual(list(self.tools()), ["hop"])

    async def test_no_other_list(self) -> None:
        """A server that has others, but never tells which, is known by its old ones no longer."""
        self.patch(session, "CALM", 0.01)
        self.patch(session, "LISTING", 0.2)
        server = Restless({"name": "hop", "inputSchema": {"type": "object"}})
        server.most = 1
        self.servers.welcome(server.guest, "token", None)
        await self.servers.until(lambda: list(self.tools()) == ["hop"])
        await self.servers.until(lambda: not self.servers.states())
        self.assertEqual(len(server.listed), 2)
        self.assertEqual(list(self.tools()), [])

    async def test_long_list(self) -> None:
        """Half a megabyte of schemas is checked nowhere but in a thread; a long one is left out."""
        properties = {f"p{number}": {"type": "string", "enum": ["a", "b"]} for number in range(300)}
        schema = {"type": "object", "properties": properties, "required": ["p0"]}
        tools = [
            {"name": f"t{number}", "description": "x" * 3000, "inputSchema": schema}
            for number in range(40)
        ]
        huge = {"type": "object", "properties": properties | {"long": {"enum": ["y" * 9000]}}}
        server = Restless({"name": "huge", "inputSchema": huge}, *tools)
        checked: list[int] = []
        whole = ListToolsResult.model_validate

        def check(raw: Any, **options: Any) -> Any:
            checked.append(sum("properties" in one["inputSchema"] for one in raw["tools"]))
            return whole(raw, **options)

        self.patch(ListToolsResult, "model_validate", check)
        self.servers.welcome(server.guest, "token", None)
        await self.servers.until(lambda: bool(self.tools()))
        self.assertEqual(list(self.tools()), [tool["name"] for tool in tools])
        self.assertEqual(self.tools()["t1"].schema, schema)
        self.assertEqual(len(self.tools()["t1"].description), 2000)
        self.assertEqual(checked[0], 0)

    def test_packed_by_others(self) -> None:
        """What only looks as if we had packed it is left out."""
        for text in ("[]", "{", "[" * 9000):
            (tool,) = offered([Listed(name="t", input_schema={"x-xiaozhi-packed": text})])
            self.assertIsNone(tool.schema)
