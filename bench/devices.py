"""Devices for measuring: the least a device must do, and the moment of all that matters."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import attrs
import msgspec

from bench import websocket
from bench.playback import FRAME, played_by
from bench.sounds import SPOKEN
from xiaozhi.device.mcp import Server

Kind = Literal["spoken", "typed", "button"]
"""A question that ends by silence, one that was typed, one that ends by a button."""

WARM_UP: Final = 0.18
"""Seconds from `listen start` to the first packet, as with the firmware."""

_HELLO: Final = (
    b'{"type":"hello","version":1,"features":{"mcp":true},"transport":"websocket",'
    b'"audio_params":{"format":"opus","sample_rate":16000,"channels":1,"frame_duration":60}}'
)
HELLO: Final = websocket.frame(websocket.TEXT, _HELLO)
LISTEN: Final = websocket.frame(websocket.TEXT, b'{"type":"listen","state":"start","mode":"auto"}')
PRESS: Final = websocket.frame(websocket.TEXT, b'{"type":"listen","state":"start","mode":"manual"}')
RELEASE: Final = websocket.frame(websocket.TEXT, b'{"type":"listen","state":"stop"}')
TYPE: Final = websocket.frame(
    websocket.TEXT, b'{"type":"listen","state":"detect","text":"What will the weather be like?"}'
)
ABORT: Final = websocket.frame(websocket.TEXT, b'{"type":"abort"}')
GOODBYE: Final = websocket.frame(websocket.CLOSE, b"\x03\xe8")


class Told(msgspec.Struct):
    """What of a server's message a device must know."""

    type: str
    state: str = ""
    payload: dict[str, Any] = {}


class Turn(msgspec.Struct):
    """One turn, as its device saw it. Times are the machine's monotonic clock, in seconds."""

    kind: Kind
    asked: float = 0.0
    """When the packet went out that completed the silence window; or the text; or the release."""
    started: float = 0.0
    """When `tts start` came."""
    arrivals: list[float] = []
    """When each frame of sound came."""
    over: bool = False


@attrs.frozen
class Speech:
    """What a device says in each turn."""

    frames: list[bytes]
    """The question and silence, as frames; the last stands for all that follow."""
    spoken: int
    """How many of them are the question."""
    ends: list[int]
    """The frame that completes the silence window, for each turn."""


class Device(asyncio.Protocol):
    """Connects, says hello, tells its tools, and waits for what it shall do."""

    transport: Any
    tools = Server()
    """What every board has; one for all devices, since they change nothing."""

    def __init__(self, path: str, hello: bool = True, name: str = "", token: str = "") -> None:
        """Connect to `path`; with `hello`, it is ready when the server has answered that.

        Without a `name` it is a new device; it shows its `token`, if it has one.
        """
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.listed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the server was told the tools."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._path = path
        self._hello = hello
        self._name = name or os.urandom(6).hex(":")
        self._token = f"Authorization: Bearer {token}\r\n" if token else ""
        self._head: bytes | None = b""
        self._reader = websocket.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self.transport = transport
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n"
            "Sec-WebSocket-Version: 13\r\nProtocol-Version: 1\r\n"
            f"Device-Id: {self._name}\r\n{self._token}"
            "Client-Id: bench\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take what the server sent, all of it at this moment."""
        now = time.monotonic()
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.transport.abort()
                return
            self._head = None
            if self._hello:
                self.transport.write(HELLO)
            else:
                self.ready.set_result(None)
        for opcode, payload in self._reader.feed(data):
            if opcode == websocket.BINARY:
                self.on_sound(now)
            elif opcode == websocket.TEXT:
                self._take(payload, now)
            elif opcode == websocket.PING:
                self.transport.write(websocket.frame(websocket.PONG, payload))
            elif opcode == websocket.CLOSE:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, before its time perhaps."""
        for awaited in (self.ready, self.listed):
            if not awaited.done():
                awaited.set_exception(exc or ConnectionError("the server hung up"))
                awaited.exception()  # who does not wait need not be told
        self.gone.set_result(None)

    def _take(self, payload: bytes, now: float) -> None:
        told = msgspec.json.decode(payload, type=Told)
        if told.type == "hello":
            self.ready.set_result(None)
        elif told.type == "tts":
            self.on_speech(told.state, now)
        elif told.type == "mcp":
            self._answer(told.payload)

    def _answer(self, request: dict[str, Any]) -> None:
        """Answer a request for tools, as the firmware does."""
        reply = self.tools.answer(request)
        if not isinstance(reply, str):
            return
        message = b'{"type":"mcp","payload":%s}' % reply.encode()
        self.transport.write(websocket.frame(websocket.TEXT, message))
        if request["method"] == "tools/list" and '"nextCursor"' not in reply:
            self.listed.set_result(None)

    def on_sound(self, now: float) -> None:
        """A frame of sound came."""

    def on_speech(self, state: str, now: float) -> None:
        """A `tts` message came."""


class Talker(Device):
    """Takes one turn after the other, at the pace of real time."""

    def __init__(
        self, path: str, speech: Speech, kinds: list[Kind], floor: bool, late: list[float]
    ) -> None:
        """Take turns of the `kinds`; a `floor` sends sound and nothing else.

        How late each packet goes out is added to `late`, in seconds.
        """
        super().__init__(path, hello=not floor)
        self.turns = [Turn(kind) for kind in kinds]
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._speech = speech
        self._floor = floor
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._number = -1
        self._packet = 0
        self._due = 0.0
        self._next: asyncio.TimerHandle | None = None

    @property
    def turn(self) -> Turn:
        """The turn under way."""
        return self.turns[self._number]

    def begin(self) -> None:
        """Begin the next turn, or end."""
        self._next = None
        if self._number + 1 == len(self.turns):
            self.over.set_result(None)
            return
        self._number += 1
        if self.turn.kind == "typed":
            self.turn.asked = time.monotonic()
            self.transport.write(TYPE)
        else:
            self.transport.write(LISTEN if self.turn.kind == "spoken" else PRESS)
            self._packet = 0
            self._due = time.monotonic() + WARM_UP
            self._at(self._due, self._send)

    def _at(self, when: float, call: Callable[[], None]) -> None:
        self._next = self._loop.call_later(max(0.0, when - time.monotonic()), call)

    def _send(self) -> None:
        """Send the packet that is due: the microphone is on."""
        now = time.monotonic()
        self._late.append(now - self._due)
        number, speech, turn = self._packet, self._speech, self.turn
        self.transport.write(speech.frames[min(number, len(speech.frames) - 1)])
        self._packet += 1
        self._due += FRAME
        if turn.kind == "button" and self._packet == speech.spoken:
            turn.asked = now
            self.transport.write(RELEASE)
            self._next = None
            return
        if turn.kind == "spoken" and number == speech.ends[self._number]:
            turn.asked = now
        self._at(self._due, self._send)

    def _silence(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def on_sound(self, now: float) -> None:
        """Note the frame."""
        turn = self.turn
        turn.arrivals.append(now)
        if self._floor:
            self._silence()
            if len(turn.arrivals) == SPOKEN:
                self._finish()

    def on_speech(self, state: str, now: float) -> None:
        """The server begins to speak, and the microphone is off; or it has ended."""
        if state == "start":
            self._silence()
            self.turn.started = now
        elif state == "stop" and not self.turn.over:
            self._finish()

    def _finish(self) -> None:
        """The answer was sent: when it is played, the next turn begins."""
        self._silence()
        self.turn.over = True
        self._at(played_by(self.turn.arrivals), self.begin)
