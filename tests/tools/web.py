"""An HTTP server on loopback that answers as a service does, or fails as services do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import attrs
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Loopback


class Asked(NamedTuple):
    """A request that came."""

    method: str
    path: str
    args: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@attrs.frozen
class Reply:
    """What is answered: an object is sent as JSON, bytes as they are."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def sent(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


STALLS = Reply(b"stalls")
BREAKS_OFF = Reply(b"breaks off")
ENDLESS = Reply(b"endless")
FAULTS: Mapping[str, Reply] = {
    "busy": Reply(b"Too Many Requests", 429, {"Retry-After": "30"}),
    "broken": Reply(b"<html>Internal Server Error</html>", 500),
    "refused": Reply({"error": True, "reason": "a parameter is wrong"}, 400),
    "empty": Reply(b""),
    "garbage": Reply(b"<html>Welcome to the hotel</html>"),
    "other JSON": Reply([[1, {"x": None}]]),
    "deep": Reply(b"[" * 100_000),
    "not UTF-8": Reply(b'{"\xff\xfe": '),
    "not gzip": Reply(b"{}", headers={"Content-Encoding": "gzip"}),
    "stalls": STALLS,
    "breaks off": BREAKS_OFF,
    "endless": ENDLESS,
}
"""What can become of any request."""


class Web:
    """Answers with `answer`, or with `fault` while there is one."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.fault: Reply | None = None
        self.asked: list[Asked] = []
        self.came: Deferred[None] = Deferred()
        """Fires at the first request."""
        self.left: Deferred[None] = Deferred()
        """Fires when a client has left before the end of its answer."""
        self._loopback = Loopback(_Everything(self))
        self.url = f"http://127.0.0.1:{self._loopback.port}"

    @property
    def connections(self) -> int:
        return self._loopback.connections

    async def stop(self) -> None:
        await self._loopback.stop()


class _Everything(Resource):
    isLeaf = True

    def __init__(self, web: Web) -> None:
        super().__init__()
        self._web = web

    def render(self, request: Request) -> Any:
        web = self._web
        asked = _asked(request)
        web.asked.append(asked)
        if not web.came.called:
            web.came.callback(None)
        request.notifyFinish().addErrback(
            lambda _: None if web.left.called else web.left.callback(None)
        )
        reply = web.fault or web.answer(asked)
        if reply is STALLS:
            return NOT_DONE_YET
        if reply is BREAKS_OFF:
            request.setHeader("Content-Length", "1000")
            request.write(b'{"results": [')
            request.loseConnection()
            return NOT_DONE_YET
        if reply is ENDLESS:
            request.registerProducer(_Spaces(request), False)
            return NOT_DONE_YET
        request.setResponseCode(reply.status)
        for name, value in reply.headers.items():
            request.setHeader(name, value)
        return reply.sent


class _Spaces:
    """Sends blanks as long as somebody takes them."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def resumeProducing(self) -> None:
        self._request.write(b" " * 65536)

    def stopProducing(self) -> None:
        pass


def _asked(request: Request) -> Asked:
    return Asked(
        request.method.decode(),
        request.path.decode(),
        {
            name.decode(): values[0].decode()
            for name, values in (request.args or {}).items()
            if request.method == b"GET"
        },
        {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        },
        request.content.read() if request.content else b"",
    )
