"""MCP servers that come to us, with manners of their own."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.services.mcp.case import McpCase
from xiaozhi.services.mcp import session
from xiaozhi.services.mcp.guest import Guest


class Restless:
    """A server that says at each list of its tools that it has others."""

    def __init__(self) -> None:
        self.guest = Guest(self.answer, lambda why: self.guest.gone())
        self.listed: list[float] = []
        """When it was asked for a list."""
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
                self.say(method="notifications/tools/list_changed")
                tool = {"name": "hop", "inputSchema": {"type": "object"}}
                self.say(id=told["id"], result={"tools": [tool]})
                if len(self.listed) == 3:
                    self.asked_thrice.callback(None)

    def say(self, **message: Any) -> None:
        self.guest.feed(json.dumps({"jsonrpc": "2.0", **message}))


class GuestTests(McpCase):
    async def test_restless(self) -> None:
        """A server that always has other tools is asked for them now and then only."""
        self.patch(session, "CALM", 0.1)
        server = Restless()
        self.servers.welcome(server.guest, "token", None)
        await server.asked_thrice.addTimeout(10, reactor)
        first, second, third = server.listed
        self.assertGreaterEqual(min(second - first, third - second), 0.09)
        self.assertEqual(list(self.tools()), ["hop"])
