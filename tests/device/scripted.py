"""A small server that plays a script to a device and keeps all it was told.

It shares nothing with the server of the house: OTA and a WebSocket on one loopback port,
and a coroutine per connection that expects messages and sends others.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from autobahn.exception import Disconnected
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from xiaozhi.audio import Encoder
from xiaozhi.device.framing import pack, unpack
from xiaozhi.device.waiting import Waiting

reactor: Any = _reactor
DEADLINE = 5.0
TOKEN = "let-me-in"

Script = Callable[["Talk"], Awaitable[None]]


class Gone(Exception):
    """The device has left in the middle of a script."""


class Talk(WebSocketServerProtocol):
    """One connection, as the script sees it."""

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__()
        self.server = server
        self.headers: dict[str, str] = {}
        self.inbox: list[dict[str, Any] | bytes] = []
        self.sound: list[bytes] = []
        """Packets from the microphone since they were last taken."""
        self.gone = False
        self._waiting = Waiting(reactor)
        self._version = 1

    def onConnect(self, request: ConnectionRequest) -> None:
        self.headers = request.headers
        if "authorization" in self.headers and self.headers["authorization"] != f"Bearer {TOKEN}":
            raise ConnectionDeny(401, "bad token")
        self._version = int(self.headers["protocol-version"])

    def onOpen(self) -> None:
        self.server.talks.append(self)
        d = Deferred.fromCoroutine(self._play())
        d.addErrback(self.server.failed)

    async def _play(self) -> None:
        await self.server.script(self)

    def onMessage(self, payload: bytes, binary: bool) -> None:
        if binary:
            self.sound.append(unpack(self._version, payload)[0])
            self.inbox.append(payload)
        else:
            self.inbox.append(json.loads(payload))
        self._waiting.look()

    def onClose(self, clean: bool, code: int | None, reason: str | None) -> None:
        self.gone = True
        self._waiting.look()

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for something of this connection."""
        await self._waiting.until(done, reactor.seconds() + DEADLINE, lambda: "the device")

    async def left(self) -> None:
        """Wait for the end of the connection."""
        await self.until(lambda: self.gone)

    async def expect(self, kind: str, **fields: str) -> dict[str, Any]:
        """Wait for the next JSON message, which must be this one; sound before it is kept."""

        def found() -> bool:
            return self.gone or any(isinstance(m, dict) for m in self.inbox)

        await self.until(found)
        for at, message in enumerate(self.inbox):
            if isinstance(message, dict):
                del self.inbox[: at + 1]
                said = {name: message.get(name) for name in ("type", *fields)}
                if said != {"type": kind, **fields}:
                    raise AssertionError(f"expected {kind} {fields}, got {message}")
                return message
        raise Gone(f"expected {kind} {fields}, but the device is gone")

    async def hear(self, packets: int) -> list[bytes]:
        """Wait for so many packets of the microphone and take them."""
        await self.until(lambda: self.gone or len(self.sound) >= packets)
        if self.gone:
            raise Gone(f"expected {packets} packets, but the device is gone")
        heard, self.sound = self.sound[:packets], self.sound[packets:]
        return heard

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a JSON message."""
        self.sendMessage(json.dumps({"type": kind, **fields}).encode())

    async def greet(self, **more: Any) -> dict[str, Any]:
        """Exchange hellos."""
        hello = await self.expect("hello")
        audio = {"sample_rate": 24000, "frame_duration": self.server.frame_ms}
        self.tell("hello", transport="websocket", session_id="s1", audio_params=audio | more)
        return hello

    def sound_out(self, packet: bytes) -> None:
        """Send one packet of sound."""
        self.sendMessage(pack(self._version, packet), True)

    async def speak(self, frames: int, lead: int = 5) -> None:
        """Send so many frames of a tone, at once the `lead`, the others when they are due."""
        encoder = Encoder(24000, self.server.frame_ms)
        began = reactor.seconds()
        for number in range(frames):
            due = began + (number - lead) * self.server.frame_ms / 1000
            if due > reactor.seconds():
                await pause(due - reactor.seconds())
            self.sound_out(encoder.encode(b"\x00\x20\x00\xe0" * 12))

    async def answer(self, text: str, frames: int) -> None:
        """Give a whole answer."""
        self.tell("llm", emotion="happy", text="🙂")
        self.tell("tts", state="start")
        self.tell("tts", state="sentence_start", text=text)
        await self.speak(frames)
        self.tell("tts", state="stop")


def pause(seconds: float) -> Deferred[None]:
    """Let time pass in a script, as a server that paces its sound must."""
    passed: Deferred[None] = Deferred()
    reactor.callLater(seconds, passed.callback, None)
    return passed


class _Ota(Resource):
    isLeaf = True

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> bytes:
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        assert request.content is not None
        self._server.asked.append((request.path.decode(), headers, request.content.read()))
        if request.path.endswith(b"/activate"):
            request.setResponseCode(self._server.activation)
            return b"{}"
        request.setResponseCode(self._server.status)
        offers = self._server.offers
        offer = offers.pop(0) if len(offers) > 1 else offers[0]
        return offer if isinstance(offer, bytes) else json.dumps(offer).encode()


class _Factory(WebSocketServerFactory):
    noisy = False

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__()
        self._server = server

    def buildProtocol(self, addr: object) -> Talk:
        talk = Talk(self._server)
        talk.factory = self
        return talk


class ScriptedServer:
    """OTA at /ota/, the WebSocket at /ws/; `stop` says what went wrong in a script."""

    def __init__(self, script: Script, frame_ms: int = 20) -> None:
        self.script = script
        self.frame_ms = frame_ms
        self.talks: list[Talk] = []
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.activation = 200
        self._failures: list[Failure] = []
        root = Resource()
        root.putChild(b"ota", _Ota(self))
        factory = _Factory(self)
        factory.setProtocolOptions(failByDrop=False)
        root.putChild(b"ws", WebSocketResource(factory))
        site = Site(root)
        site.noisy = False
        self._port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}"
        self.ws_url = self.url.replace("http", "ws") + "/ws/"
        websocket = {"url": self.ws_url, "token": TOKEN, "version": 3}
        self.offers: list[Any] = [{"websocket": websocket}]

    def failed(self, failure: Failure) -> None:
        """Keep what went wrong in a script; that the device left is no fault."""
        if not failure.check(Gone, Disconnected):
            self._failures.append(failure)

    async def stop(self) -> None:
        """End the server and every connection; raise the first failure of a script."""
        await self._port.stopListening()
        for talk in self.talks:
            talk.sound.clear()
            if not talk.gone:
                talk.dropConnection(abort=True)
            await talk.left()
        if self._failures:
            self._failures[0].raiseException()
