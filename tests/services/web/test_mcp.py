"""Who may come to the MCP endpoint, and what a server that has come may do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from tests.services.mcp.case import McpCase
from tests.websocket import Peer, set_clock
from xiaozhi.errors import ServiceError
from xiaozhi.limits import Crowd
from xiaozhi.services.auth.refusals import Refusals
from xiaozhi.services.mcp import EACH
from xiaozhi.services.mcp.guest import WAITING
from xiaozhi.services.mcp.link import PATIENCE, PING, TOOLS
from xiaozhi.services.store import Store, subject_of
from xiaozhi.services.web.mcp import LARGEST, Endpoint, GuestFactory
from xiaozhi.services.web.proxies import Proxies


def described(name: str) -> dict[str, Any]:
    """Describe a tool as a server does."""
    return {"name": name, "inputSchema": {"type": "object"}}


class EndpointTests(McpCase):
    def setUp(self) -> Any:
        super().setUp()
        self.store = Store(reactor, Path(self.mktemp()), 10.0)
        self.store.startService()
        self.addCleanup(self.store.stopService)
        self.crowd, self.time = Crowd(20, 20), Clock()
        self.addCleanup(set_clock, set_clock(self.time))
        refusals = Refusals(self.time)
        house = Endpoint(
            self.servers, self.store, self.crowd, self.counters, refusals, Proxies
        )  # fmt: skip
        factory: Any = GuestFactory(house)
        factory.clock = self.time
        self.factory = factory
        return self.store.ready()

    def begin(self, token: str, **headers: str) -> Peer:
        """Come with a token; the server hangs up at the end of the test."""
        peer = Peer(self.factory)
        self.addCleanup(peer.vanish)
        write = peer.transport.write

        def written(data: bytes) -> None:
            write(data)
            self.servers.look()

        self.patch(peer.transport, "write", written)  # to see when something is
        peer.handshake(f"/mcp/?token={token}" if token else "/mcp/", **headers)
        return peer

    async def knock(self, token: str, **headers: str) -> tuple[Peer, str]:
        """Come with a token; give the status of the answer."""
        peer = self.begin(token, **headers)
        end = b"\r\n\r\n"
        await self.servers.until(lambda: end in peer.transport.value())
        head = peer.transport.value().partition(end)[0]
        peer._read = len(head) + len(end)
        return peer, head.split(b" ")[1].decode()

    async def token(self, *devices: str) -> str:
        """Make a token."""
        subject = subject_of(devices or None)
        return (await self.store.issue_token("mcp", subject, "", 0.0)).secret

    def refused(self, reason: str) -> float:
        """Tell how many were refused for a reason."""
        return self.counters.value("connections_refused", reason=reason)

    async def test_refused(self) -> None:
        """Who has no token, a wrong one, or one of another kind, is told 401; and it is counted."""
        other = await self.store.issue_token("operator", "anna", "", 0.0)
        with capturedLogs() as logs:
            for token, reason in (
                ("", "no_token"), ("x", "bad_token"), ("x" * 43, "bad_token"),
                (other.secret, "bad_token"),
            ):  # fmt: skip
                before = self.refused(reason)
                self.assertEqual((await self.knock(token))[1], "401", token)
                self.assertEqual(self.refused(reason), before + 1)
        text = "\n".join(filter(None, map(formatEvent, logs)))
        self.assertIn("refused an MCP server from 192.168.1.9", text)
        self.assertNotIn(other.secret, text)
        self.assertEqual(self.crowd.total, 0)

    async def test_header(self) -> None:
        """The token may be in a header."""
        bearer = f"Bearer {await self.token()}"
        self.assertEqual((await self.knock("", Authorization=bearer))[1], "101")
        self.assertEqual((await self.knock("", Authorization=bearer + "x"))[1], "401")

    async def test_no_room(self) -> None:
        """One too many is told to come again, and so is everybody when the store fails."""
        token = await self.token()
        self.crowd.most = 0
        self.assertEqual((await self.knock(token))[1], "503")
        self.assertEqual(self.refused("full"), 1)
        self.crowd.most = 9
        self.patch(self.store, "find_token", lambda *_: fail(ServiceError("store", "down")))
        self.assertEqual((await self.knock(token))[1], "503")
        self.assertEqual(self.crowd.total, 0)

    async def test_hangs_up(self) -> None:
        """Who is gone before it is decided leaves nothing behind."""
        waiting: Deferred[None] = Deferred()
        self.patch(self.store, "find_token", lambda *_: waiting)
        peer = self.begin("x" * 43)
        self.assertEqual(self.crowd.total, 1)
        peer.vanish()
        self.assertTrue(waiting.called)
        self.assertEqual(self.crowd.total, 0)

    async def test_flood(self) -> None:
        """Who sends much before it is let in is cut off."""
        self.patch(self.store, "find_token", lambda *_: Deferred())
        peer = self.begin("x" * 43)
        peer.protocol.dataReceived(b"x" * 70_000)
        self.assertFalse(peer.transport.connected)

    async def come(self, token: str, **tools: Any) -> Peer:
        """Come, and answer what is asked first, with these tools."""
        peer, status = await self.knock(token)
        self.assertEqual(status, "101")
        about = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}}
        await self.answer(peer, about | {"serverInfo": {"name": "toy", "version": "1"}})
        await self.answer(peer, {"tools": [described(name) for name in tools]})
        return peer

    async def answer(self, peer: Peer, result: Any) -> Any:
        """Wait for the next request, and answer it; give the request."""
        asked = await self.request(peer)
        peer.send({"jsonrpc": "2.0", "id": asked["id"], "result": result})
        return asked

    async def request(self, peer: Peer) -> Any:
        """Wait for the next request."""
        found: list[Any] = []

        def came() -> bool:
            found.extend(one for one in peer.frames() if "id" in one)
            return bool(found)

        await self.servers.until(came)
        return found[0]

    async def test_serves(self) -> None:
        """A server by hand: what is asked is JSON-RPC in text frames, in the usual order."""
        peer = await self.come(await self.token("one"), paint=None)
        await self.servers.until(lambda: "paint" in self.tools("one"))
        self.assertEqual(self.tools("two"), {})
        call = Deferred.fromCoroutine(self.tools("one")["paint"].call({"colour": "red"}, None))  # type: ignore[arg-type]  # no scene
        content = [{"type": "text", "text": "painted"}]
        asked = await self.answer(peer, {"content": content, "isError": False})
        self.assertEqual(asked["params"]["arguments"], {"colour": "red"})
        self.assertEqual((await call).text, "painted")

    async def test_nonsense(self) -> None:
        """What is no JSON-RPC is not minded; a result that is none is said to be."""
        peer = await self.come(await self.token(), paint=None)
        await self.servers.until(lambda: "paint" in self.tools())
        for frame in (
            b"\xff",
            "[]",
            "{}",
            {"jsonrpc": "2.0"},
            {"jsonrpc": "2.0", "id": 99, "result": {}},
        ):
            peer.send(frame)
        call = self.call("paint")
        await self.answer(peer, {"content": 7})
        self.assertIn("cannot be read", (await call).text)
        call = self.call("paint")
        asked = await self.request(peer)
        peer.send({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32602, "message": "no"}})
        self.assertIn("paint: no", (await call).text)

    async def test_pages(self) -> None:
        """A list of tools is read page by page; tools and schemas have bounds."""
        peer = await self.come(await self.token(), paint=None)
        await self.servers.until(lambda: "paint" in self.tools())
        peer.send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        long = described("long") | {"description": "x" * 9999}
        huge = {
            "type": "object",
            "properties": {"a": {"type": "string", "description": "x" * 20_000}},
        }
        pages = [
            [long, described("huge") | {"inputSchema": huge}],
            [described(f"tool{number}") for number in range(TOOLS)],
        ]
        asked = await self.answer(peer, {"tools": pages[0], "nextCursor": "more"})
        self.assertNotIn("cursor", asked.get("params", {}))
        asked = await self.answer(peer, {"tools": pages[1]})
        self.assertEqual(asked["params"]["cursor"], "more")
        await self.servers.until(lambda: len(self.tools()) == TOOLS)
        self.assertEqual(len(self.tools()["long"].description), 2000)
        self.assertNotIn("huge", self.tools())

    async def test_pinged(self) -> None:
        """Who does not know pings is there all the same."""
        peer = await self.come(await self.token(), paint=None)
        await self.servers.until(lambda: "paint" in self.tools())
        self.clock.advance(PING)
        asked = await self.request(peer)
        self.assertEqual(asked["method"], "ping")
        error = {"code": -32601, "message": "Method not found"}
        peer.send({"jsonrpc": "2.0", "id": asked["id"], "error": error})
        call = self.call("paint")
        await self.answer(peer, {"content": []})
        self.assertEqual((await call).text, "(no text)")
        self.clock.advance(PING)
        await self.request(peer)
        self.clock.advance(PATIENCE)
        await self.servers.until(lambda: not self.servers.states())
        self.assertEqual(peer.frames()[-1], 1001)

    async def test_bounds(self) -> None:
        """Messages have a size, and may not wait without end; so are servers counted."""
        token = await self.token()
        peer, _ = await self.knock(token)
        peer.send(b"x" * (LARGEST + 1))
        self.assertEqual(peer.frames()[-1], 1009)
        peer, _ = await self.knock(token)
        for _ in range(WAITING + 1):  # all at once, before anything reads
            peer.send({"jsonrpc": "2.0"})
        self.assertEqual(peer.frames()[-1], 1008)
        peers = [(await self.knock(token))[0] for _ in range(EACH + 1)]
        self.assertIn(1013, [frame for one in peers for frame in one.frames()])

    async def test_revoked(self) -> None:
        """A server whose token is void is sent away."""
        peer = await self.come(await self.token(), paint=None)
        await self.servers.until(lambda: "paint" in self.tools())
        (token,) = await self.store.tokens()
        self.servers.keep({token.id})
        self.assertIn("paint", self.tools())
        self.servers.keep(())
        await self.servers.until(lambda: not self.servers.states())
        self.assertEqual(peer.frames()[-1], 1001)
