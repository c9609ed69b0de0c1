"""An OpenAI-compatible server with a model that sees, on loopback."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback


class Seen(NamedTuple):
    """A picture that was shown, and what was asked about it."""

    mime: str
    data: bytes
    question: str
    prompt: str
    key: str
    model: str


class VisionServer:
    """Tells of each picture the same; or refuses, says nothing, or what is no answer."""

    def __init__(self, says: str = "There is a cat.") -> None:
        self.says = says
        self.answer: Any = None
        """Instead of a completion: an object, or bytes as they are."""
        self.status = 200
        self.stalls = False
        self.seen: list[Seen] = []
        self.gone: Deferred[None] = Deferred()
        """Fires when a client has left before it was answered."""
        models = Folder(completions=_Completions(self))
        self._loopback = Loopback(Folder(v1=Folder(chat=models)))
        self.url = f"http://127.0.0.1:{self._loopback.port}/v1"

    async def stop(self) -> None:
        await self._loopback.stop()


class _Completions(Resource):
    isLeaf = True

    def __init__(self, server: VisionServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> Any:
        server = self._server
        assert request.content is not None
        body = json.loads(request.content.read())
        assert request.getHeader("content-type") == "application/json"
        server.seen.append(_seen(body, request.getHeader("authorization") or ""))
        request.setResponseCode(server.status)
        request.setHeader("content-type", "application/json")
        if server.stalls:
            request.notifyFinish().addErrback(lambda _: server.gone.callback(None))
            return NOT_DONE_YET
        if isinstance(server.answer, bytes):
            return server.answer
        answer = completion(server.says) if server.answer is None else server.answer
        return json.dumps(answer).encode()


def completion(content: Any, finish: str = "stop") -> dict[str, Any]:
    """Write an answer as OpenAI does."""
    message = {"role": "assistant", "content": content, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }


def _seen(body: Any, authorization: str) -> Seen:
    system, user = body["messages"]
    text, image = user["content"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert (text["type"], image["type"]) == ("text", "image_url")
    head, _, data = image["image_url"]["url"].partition(",")
    scheme, _, key = authorization.partition(" ")
    assert scheme == "Bearer"
    match = re.fullmatch(r"data:([\w/]+);base64", head)
    assert match is not None
    return Seen(match[1], b64decode(data), text["text"], system["content"], key, body["model"])
