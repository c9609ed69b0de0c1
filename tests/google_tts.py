"""Google Translate's speech on loopback: the remote procedure jQ1olc of its batchexecute.

A request is a form whose field f.req holds JSON in JSON: the procedure and its arguments (text,
language, slow, "null"). The answer is a line against script inclusion and pieces of JSON, each
after its length; the procedure's is again JSON in JSON and holds the MP3 in base64. For a
language that there is not it holds null.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback

PATH: Final = ("_", "TranslateWebserverUi", "data", "batchexecute")
TONE: Final = (Path(__file__).parent / "services" / "tts" / "tone.mp3").read_bytes()
"""Half a second of 440 Hz."""
MAX_CHARACTERS: Final = 100


class Asked(NamedTuple):
    """A request that came."""

    text: str
    language: str
    slow: bool


class Google:
    """Answers every request with `mp3`, or with `status`, or never."""

    def __init__(self) -> None:
        self.mp3 = TONE
        self.status = 200
        self.stalls = False
        self.raw: bytes | None = None
        """Answer with this instead."""
        self.asked: list[Asked] = []
        self.came: Deferred[None] = Deferred()
        """Fires at the first request."""
        self.gone: Deferred[None] = Deferred()
        """Fires when a client has left before its answer."""
        folder: Resource = _Execute(self)
        for name in reversed(PATH):
            folder = Folder(**{name: folder})
        self._loopback = Loopback(folder)
        self.url = f"http://127.0.0.1:{self._loopback.port}/{'/'.join(PATH)}"

    async def stop(self) -> None:
        await self._loopback.stop()


class _Execute(Resource):
    isLeaf = True

    def __init__(self, google: Google) -> None:
        super().__init__()
        self._google = google

    def render_POST(self, request: Request) -> Any:
        google = self._google
        assert request.args is not None
        (((name, arguments, _, kind),),) = json.loads(request.args[b"f.req"][0])
        text, language, slow, _ = json.loads(arguments)
        assert (name, kind) == ("jQ1olc", "generic")
        assert 0 < len(text) <= MAX_CHARACTERS
        google.asked.append(Asked(text, language, bool(slow)))
        if not google.came.called:
            google.came.callback(None)
        if google.stalls:
            request.notifyFinish().addErrback(lambda _: google.gone.callback(None))
            return NOT_DONE_YET
        request.setResponseCode(google.status)
        if google.status != 200:
            return b"<html><title>Sorry...</title></html>"
        request.setHeader("content-type", "application/json; charset=utf-8")
        if google.raw is not None:
            return google.raw
        return answered(google.mp3 if language != "xx" else None)


def answered(mp3: bytes | None) -> bytes:
    """Make Google's answer with the sound, or without."""
    sound = mp3 and json.dumps([base64.b64encode(mp3).decode()], separators=(",", ":"))
    return _pieces(
        [["wrb.fr", "jQ1olc", sound, None, None, None if sound else [3], "generic"]],
        [["di", 61], ["af.httprm", 60, "-5121234567890123456", 11]],
        [["e", 4, None, None, 131]],
    )


def _pieces(*pieces: Any) -> bytes:
    body = ")]}'\n\n"
    for piece in pieces:
        line = json.dumps(piece, separators=(",", ":"))
        body += f"{len(line) + 2}\n{line}\n"
    return body.encode()
