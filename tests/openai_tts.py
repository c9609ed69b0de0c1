"""An OpenAI-compatible speech server on loopback, speaking the real API of /v1/audio/speech.

What it answers is a script: bytes go out as they are; STALL and BREAK are what their names say.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback

STALL: Final = object()
"""Say no more, and keep the connection."""
BREAK: Final = object()
"""Break the connection off."""
FORMATS: Final = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


class Asked(NamedTuple):
    """A request that came."""

    body: dict[str, Any]
    key: str


class SpeechServer:
    """Answers every request with `script`, as `kind`, or refuses it with `status`."""

    def __init__(self, *script: Any) -> None:
        self.script: tuple[Any, ...] = script
        self.kind = ""
        """The content type; empty: that of the format asked for."""
        self.status = 200
        self.asked: list[Asked] = []
        self.gone: Deferred[None] = Deferred()
        """Fires when a client has left before its answer was complete."""
        audio = Folder(speech=_Speech(self))
        self._loopback = Loopback(Folder(v1=Folder(audio=audio)))
        self.url = f"http://127.0.0.1:{self._loopback.port}/v1"

    @property
    def connections(self) -> int:
        """How many connections were made to it."""
        return self._loopback.connections

    async def stop(self) -> None:
        await self._loopback.stop()


class _Speech(Resource):
    isLeaf = True

    def __init__(self, server: SpeechServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> Any:
        server = self._server
        assert request.content is not None
        body = json.loads(request.content.read())
        scheme, _, key = (request.getHeader("authorization") or "").partition(" ")
        if scheme != "Bearer":
            return _refuse(request, 401, "You didn't provide an API key.")
        server.asked.append(Asked(body, key))
        if server.status != 200:
            return _refuse(request, server.status, "it is refused")
        missing = [name for name in ("model", "input", "voice") if not body.get(name)]
        if missing:
            return _refuse(request, 400, f"Missing required parameter: '{missing[0]}'.")
        if len(body["input"]) > 4096:
            return _refuse(request, 400, "string too long: at most 4096 characters")
        request.notifyFinish().addErrback(lambda _: self._left())
        kind = server.kind or FORMATS[body.get("response_format", "mp3")]
        request.setHeader("content-type", kind)
        for step in server.script:
            if step is STALL:
                return NOT_DONE_YET
            if step is BREAK:
                assert request.transport is not None
                request.transport.loseConnection()
                return NOT_DONE_YET
            request.write(step)
        request.finish()
        return NOT_DONE_YET

    def _left(self) -> None:
        if not self._server.gone.called:
            self._server.gone.callback(None)


def _refuse(request: Request, status: int, message: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader("content-type", "application/json")
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return json.dumps({"error": error}).encode()
