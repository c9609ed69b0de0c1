"""Three services with OpenAI's API on loopback, which take their time, and always the same.

They hear, think and speak what the bench's own engines do, as slowly as good services: so the
server's own engines, its HTTP client and its streams are part of what is measured.
"""

from __future__ import annotations

import argparse
import json
from abc import ABC, abstractmethod
from typing import Any, Final

from xiaozhi._reactor import install

install(fast=True)  # before Twisted's web server imports another

from twisted.internet import reactor as the_reactor  # noqa: E402
from twisted.internet.defer import CancelledError, Deferred  # noqa: E402
from twisted.internet.task import deferLater  # noqa: E402
from twisted.web.resource import Resource  # noqa: E402
from twisted.web.server import NOT_DONE_YET, Request, Site  # noqa: E402

from bench.sounds import QUESTION, answer, tokens, tokens_to_speak  # noqa: E402

reactor: Any = the_reactor

HEARS: Final = 0.3
"""Seconds until a recogniser has the text."""
THINKS: Final = 0.3
"""Seconds until a model begins..."""
TOKEN: Final = 0.02
"""...and for each token."""
SPEAKS: Final = 0.2
"""Seconds until a voice has the first of its sound."""

_PIECE: Final = 9600
"""Bytes of sound written at once: 0.2 seconds of it."""


def delays() -> float:
    """Sum up what the services take until the first sentence can be heard."""
    return HEARS + THINKS + tokens_to_speak() * TOKEN + SPEAKS


class _Slow(Resource, ABC):
    """Answers after a while, unless the client has left."""

    isLeaf = True

    def render_POST(self, request: Request) -> int:
        work = Deferred.fromCoroutine(self.answer(request))
        request.notifyFinish().addErrback(lambda _: work.cancel())
        work.addErrback(lambda failure: failure.trap(CancelledError))
        return NOT_DONE_YET

    @abstractmethod
    async def answer(self, request: Request) -> None:
        """Write the answer, and finish."""


class Transcriptions(_Slow):
    """Hears the question in whatever WAV file comes."""

    async def answer(self, request: Request) -> None:
        """Answer as /v1/audio/transcriptions does."""
        sound: bytes = (request.args or {}).get(b"file", [b""])[0]
        if not sound.startswith(b"RIFF"):
            request.setResponseCode(400)
            _json(request, {"error": {"message": "no WAV file", "type": "invalid_request_error"}})
            return
        await _sleep(HEARS)
        _json(request, {"text": QUESTION})


class Completions(_Slow):
    """Says the answer, token by token, as a stream of events."""

    async def answer(self, request: Request) -> None:
        """Answer as /v1/chat/completions does."""
        asked = _asked(request)
        model = asked["model"]
        began = reactor.seconds()
        await _sleep(THINKS)
        request.setHeader("content-type", "text/event-stream; charset=utf-8")
        _event(request, model, {"role": "assistant", "content": ""})
        for number, token in enumerate(tokens(), 1):
            # Against the clock: what a busy machine sleeps too long does not add up.
            await _sleep(began + THINKS + number * TOKEN - reactor.seconds())
            _event(request, model, {"content": token})
        _event(request, model, {}, "stop")
        request.write(b"data: [DONE]\n\n")
        request.finish()


class Speech(_Slow):
    """Says a sentence of the answer, as PCM."""

    async def answer(self, request: Request) -> None:
        """Answer as /v1/audio/speech does."""
        sound = answer().get(_asked(request)["input"])
        if sound is None:
            request.setResponseCode(400)
            _json(request, {"error": {"message": "unknown text", "type": "invalid_request_error"}})
            return
        await _sleep(SPEAKS)
        request.setHeader("content-type", "audio/pcm")
        for start in range(0, len(sound), _PIECE):
            request.write(sound[start : start + _PIECE])
        request.finish()


def _sleep(seconds: float) -> Deferred[None]:
    return deferLater(reactor, max(0.0, seconds))


def _asked(request: Request) -> dict[str, Any]:
    assert request.content is not None
    asked: dict[str, Any] = json.loads(request.content.read())
    return asked


def _json(request: Request, body: dict[str, Any]) -> None:
    request.setHeader("content-type", "application/json")
    request.write(json.dumps(body).encode())
    request.finish()


def _event(request: Request, model: str, delta: dict[str, str], finish: str | None = None) -> None:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    request.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def site() -> Site:
    """Lay out the paths of the API."""
    root, v1, audio, chat = Resource(), Resource(), Resource(), Resource()
    root.putChild(b"v1", v1)
    v1.putChild(b"audio", audio)
    v1.putChild(b"chat", chat)
    audio.putChild(b"transcriptions", Transcriptions())
    audio.putChild(b"speech", Speech())
    chat.putChild(b"completions", Completions())
    return Site(root)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    answer()
    reactor.listenTCP(port, site(), backlog=1024, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
