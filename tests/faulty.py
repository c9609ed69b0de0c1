"""Servers on loopback that fail: the API of each engine, with each fault there can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from twisted.internet import reactor
from twisted.internet.interfaces import IPullProducer
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from tests.fakes import tone
from tests.google_tts import PATH, TONE, answered
from tests.loopback import Folder, Loopback


class Fault(Enum):
    """What can be wrong with a server."""

    REFUSED = "nobody listens at its port"
    NO_NAME = "its name is not known"
    SILENT = "it takes the request and says nothing"
    MUTE = "it begins to answer and says nothing"
    NO_KEY = "HTTP 401"
    LIMITED = "HTTP 429, with Retry-After"
    BROKEN = "HTTP 500"
    GARBAGE = "it sends what is no answer"
    WEB_PAGE = "it sends a web page, as HTTP 200"
    TRUNCATED = "the connection breaks in the middle of the answer"
    CUT_SHORT = "the answer ends in its middle, in good order"
    STALLED = "the answer stops in its middle"
    TRICKLE = "the answer comes byte by byte, with pauses"
    EMPTY = "the answer has nothing in it"
    WRONG_FORMAT = "the sound is of another format"
    ENDLESS = "the answer has no end"


class Api(NamedTuple):
    """How a server answers, rightly and wrongly."""

    path: tuple[str, ...]
    kind: str
    """The content type of an answer."""
    begin: bytes
    """The first part of an answer, with something in it."""
    end: bytes
    """What makes it whole."""
    again: Callable[[int], bytes]
    """Makes what can come between the two, any number of times."""
    drop: bytes
    """What can come before `begin`, any number of times, and says nothing; or a bit of sound."""
    empty: bytes
    error: Callable[[str], Any]
    """Makes the JSON of an error."""
    wrong: tuple[str, bytes] = ("", b"")
    """The content type and the sound of an answer in another format."""
    more: Mapping[str, bytes] = {}
    """What else it serves, well, by path."""


def _openai_error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}


def _delta(text: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    chunk = {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _piece(text: str, done: bool = False) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"model": "m:1b", "message": message, "done": done}).encode() + b"\n"


SAID: Final = "Half of it is said. "
"""What a model says in the first part of its answer."""
_SOUND: Final = tone(0.24, 24000)
_GOOGLE: Final = answered(TONE)
_DONE: Final = b"data: [DONE]\n\n"

APIS: Final[Mapping[str, Api]] = {
    "asr.openai": Api(
        ("v1", "audio", "transcriptions"),
        "application/json",
        b'{"text": "What',
        b' is it?"}',
        lambda _: b" what" * 1000,
        b" ",
        b"",
        _openai_error,
    ),
    "llm.openai": Api(
        ("v1", "chat", "completions"),
        "text/event-stream",
        _delta(SAID),
        _delta("", "stop") + _DONE,
        lambda number: _delta(f"And {number} more. "),
        b": wait\n\n",
        _delta("", "stop") + _DONE,
        _openai_error,
    ),
    "llm.ollama": Api(
        ("api", "chat"),
        "application/x-ndjson",
        _piece(SAID),
        _piece("", done=True),
        lambda number: _piece(f"And {number} more. "),
        _piece(""),
        _piece("", done=True),
        lambda message: {"error": message},
        more={
            "tags": json.dumps({"models": [{"name": "m:1b"}]}).encode(),
            "generate": b'{"done": true}',
        },
    ),
    "tts.openai": Api(
        ("v1", "audio", "speech"),
        "audio/pcm",
        _SOUND,
        _SOUND,
        lambda _: _SOUND,
        b"\0",
        b"",
        _openai_error,
        wrong=("application/octet-stream", TONE[TONE.index(b"\xff\xf3") :]),
    ),
    "tts.gtts": Api(
        PATH,
        "application/json",
        _GOOGLE[:200],
        _GOOGLE[200:],
        lambda _: b"A" * 1000,
        b" ",
        answered(None),
        lambda message: message,
        wrong=("application/json", answered(b"OggS" + bytes(2000))),
    ),
}


class FaultyServer:
    """Serves the API of an engine, and that badly; with no fault, well."""

    def __init__(self, engine: str, fault: Fault | None) -> None:
        self.api = APIS[engine]
        self.fault = fault
        self.asked = 0
        folder: Resource = _Faulty(self)
        more = {name: _Static(body) for name, body in self.api.more.items()}
        *folders, last = self.api.path
        root: Resource = Folder(**{last: folder}, **more)
        for name in reversed(folders):
            root = Folder(**{name: root})
        self._loopback = Loopback(root)
        host = "nobody.invalid" if fault is Fault.NO_NAME else "127.0.0.1"
        self.address = f"{host}:{self._loopback.port}"

    async def ready(self) -> FaultyServer:
        """Wait until it is as bad as it should be."""
        if self.fault is Fault.REFUSED:
            await self._loopback.stop()
        return self

    async def deserted(self) -> None:
        """Wait until no connection to it is open."""
        await self._loopback.deserted()

    async def stop(self) -> None:
        await self._loopback.stop()


class _Static(Resource):
    isLeaf = True

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def render_GET(self, request: Request) -> bytes:
        return self._body

    render_POST = render_GET


class _Faulty(Resource):
    isLeaf = True

    def __init__(self, server: FaultyServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> Any:
        server, api = self._server, self._server.api
        server.asked += 1
        request.setHeader("content-type", api.kind)
        match server.fault:
            case None:
                return api.begin + api.end
            case Fault.NO_KEY:
                return self._refuse(request, 401, "Incorrect API key provided: k3y")
            case Fault.LIMITED:
                request.setHeader("retry-after", "7")
                return self._refuse(request, 429, "Rate limit reached")
            case Fault.BROKEN:
                return self._refuse(request, 500, "The server had an error")
            case Fault.EMPTY:
                return api.empty
            case Fault.GARBAGE:
                return b"data: " + bytes(range(256)) + b"\n\n"
            case Fault.WEB_PAGE:
                request.setHeader("content-type", "text/html; charset=utf-8")
                return b"<!DOCTYPE html><html><title>Before you continue</title></html>"
            case Fault.WRONG_FORMAT:
                request.setHeader("content-type", api.wrong[0])
                return api.wrong[1]
            case Fault.CUT_SHORT:
                return api.begin
            case fault:
                self._go_wrong(request, fault)
                return NOT_DONE_YET

    def _go_wrong(self, request: Request, fault: Fault) -> None:
        """Begin an answer, or not, and never end it."""
        api = self._server.api
        match fault:
            case Fault.MUTE:
                request.write(b"")
            case Fault.STALLED | Fault.TRUNCATED:
                request.write(api.begin)
                if fault is Fault.TRUNCATED:
                    assert request.transport is not None
                    request.transport.loseConnection()
            case Fault.TRICKLE:
                trickle(request, api.drop)
            case Fault.ENDLESS:
                request.write(api.begin)
                request.registerProducer(_Flood(request, api.again), False)

    def _refuse(self, request: Request, status: int, message: str) -> bytes:
        request.setResponseCode(status)
        request.setHeader("content-type", "application/json")
        return json.dumps(self._server.api.error(message)).encode()


def trickle(request: Request, drop: bytes) -> None:
    """Send `drop` every now and then until the client leaves."""
    call = LoopingCall(request.write, drop)
    call.clock = reactor
    call.start(0.05)
    request.notifyFinish().addErrback(lambda _: call.stop())


@implementer(IPullProducer)
class _Flood:
    """Sends as much as is read."""

    def __init__(self, request: Request, again: Callable[[int], bytes]) -> None:
        self._request = request
        self._again = again
        self._number = 0

    def resumeProducing(self) -> None:
        self._number += 1
        self._request.write(self._again(self._number))

    def stopProducing(self) -> None:
        pass
