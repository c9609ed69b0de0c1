"""An OpenAI-compatible transcription server on loopback, speaking the real API as far as it goes.

It refuses what the real one refuses: another key, no file, sound that is no WAV or too short.
"""

from __future__ import annotations

import io
import json
import wave
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback

STALL: Final = object()
"""An answer that does not come."""


class Asked(NamedTuple):
    """A request that was understood."""

    model: str
    language: str | None
    format: str | None
    rate: int
    pcm: bytes


class TranscriptionServer:
    """Answers every transcription with `answer`.

    A str is the text; a tuple is (status, content type, body), as it is; STALL says nothing.
    """

    def __init__(self, answer: Any, key: str) -> None:
        self.answer = answer
        self.key = key
        self.asked: list[Asked] = []
        self.came: Deferred[None] = Deferred()
        """Fires at the first request."""
        self.gone: Deferred[None] = Deferred()
        """Fires when a client has left before its answer was complete."""
        audio = Folder(transcriptions=_Transcriptions(self))
        self._loopback = Loopback(Folder(v1=Folder(audio=audio)))
        self.url = f"http://127.0.0.1:{self._loopback.port}/v1"

    @property
    def connections(self) -> int:
        """How many connections were made to it."""
        return self._loopback.connections

    async def stop(self) -> None:
        await self._loopback.stop()


class _Transcriptions(Resource):
    isLeaf = True

    def __init__(self, server: TranscriptionServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> Any:
        server = self._server
        request.notifyFinish().addErrback(
            lambda _: None if server.gone.called else server.gone.callback(None)
        )
        if request.getHeader("Authorization") != f"Bearer {server.key}":
            given = request.getHeader("Authorization")
            return _refuse(request, 401, f"Incorrect API key provided: {given}.")
        try:
            server.asked.append(_understood(request.args))
        except (KeyError, wave.Error, EOFError) as error:
            return _refuse(request, 400, f"Invalid file or field: {error}")
        if len(server.asked[-1].pcm) < 3200:
            return _refuse(request, 400, "Audio file is too short.")
        if not server.came.called:
            server.came.callback(None)
        if server.answer is STALL:
            return NOT_DONE_YET
        if isinstance(server.answer, str):
            return _say(request, 200, "application/json", json.dumps({"text": server.answer}))
        return _say(request, *server.answer)


def _understood(fields: dict[bytes, list[bytes]]) -> Asked:
    with wave.open(io.BytesIO(fields[b"file"][0]), "rb") as sound:
        if (sound.getnchannels(), sound.getsampwidth()) != (1, 2):
            raise wave.Error("not 16-bit mono")
        rate, pcm = sound.getframerate(), sound.readframes(sound.getnframes())

    def field(name: bytes) -> str | None:
        return fields[name][0].decode() if name in fields else None

    return Asked(
        fields[b"model"][0].decode(), field(b"language"), field(b"response_format"), rate, pcm
    )


def _refuse(request: Request, status: int, message: str) -> bytes:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return _say(request, status, "application/json", json.dumps({"error": error}))


def _say(request: Request, status: int, kind: str, body: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", kind)
    return body.encode()
