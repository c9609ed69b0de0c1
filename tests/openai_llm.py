"""An OpenAI-compatible chat server on loopback, speaking the real API as far as chat goes.

What it answers is a script: a str is a delta of text, a dict is any delta, bytes go out as they
are, and STALL and BREAK are what their names say. An answer that runs to the end of its script is
finished as OpenAI does. `called` writes the deltas of a call, as one kind of server or the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback

STALL: Final = object()
"""Say no more, and keep the connection."""
BREAK: Final = object()
"""Break the connection off."""


class Asked(NamedTuple):
    """A request that came."""

    body: dict[str, Any]
    key: str


class Refusal(NamedTuple):
    """An answer that is an error."""

    status: int
    message: str
    type: str = "invalid_request_error"


class OpenAIServer:
    """Answers every chat with `script`, or refuses it."""

    def __init__(self, *script: Any) -> None:
        self.script: tuple[Any, ...] = script
        self.choose: Callable[[dict[str, Any]], Sequence[Any] | Refusal] = lambda _: self.script
        """Gives the script for what is asked, or refuses it."""
        self.ends = True
        """Whether the end of an answer is told as such."""
        self.refusal: Refusal | None = None
        self.toolless: Refusal | None = None
        """How a request with tools, or of calls that were, is refused."""
        self.asked: list[Asked] = []
        self.gone: Deferred[None] = Deferred()
        """Fires when a client has left before its answer was complete."""
        chat = Folder(completions=_Completions(self))
        self._loopback = Loopback(Folder(v1=Folder(chat=chat)))
        self.url = f"http://127.0.0.1:{self._loopback.port}/v1"

    @property
    def connections(self) -> int:
        """How many connections were made to it."""
        return self._loopback.connections

    async def stop(self) -> None:
        await self._loopback.stop()


class _Completions(Resource):
    isLeaf = True

    def __init__(self, server: OpenAIServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> Any:
        server = self._server
        assert request.content is not None
        body = json.loads(request.content.read())
        scheme, _, key = (request.getHeader("authorization") or "").partition(" ")
        assert scheme == "Bearer"
        server.asked.append(Asked(body, key))
        if server.refusal is not None:
            return self._refuse(request, server.refusal)
        of_tools = "tools" in body or any("tool_calls" in told for told in body["messages"])
        if server.toolless is not None and of_tools:
            return self._refuse(request, server.toolless)
        script = server.choose(body)
        if isinstance(script, Refusal):
            return self._refuse(request, script)
        assert body["stream"] is True
        request.notifyFinish().addErrback(lambda _: self._left())
        request.setHeader("content-type", "text/event-stream; charset=utf-8")
        model = body["model"]
        if server.ends:
            first = {"role": "assistant", "content": "", "refusal": None}
            request.write(_event(_chunk(model, first)))
        for step in script:
            if step is STALL:
                return NOT_DONE_YET
            if step is BREAK:
                break_off(request)
                return NOT_DONE_YET
            delta = step if isinstance(step, dict) else {"content": step}
            piece = step if isinstance(step, bytes) else _event(_chunk(model, delta))
            request.write(piece)
        if not server.ends:
            request.finish()
            return NOT_DONE_YET
        called = any(isinstance(step, dict) for step in script)
        request.write(_event(_chunk(model, {}, "tool_calls" if called else "stop")))
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        request.write(_event({**_chunk(model, {}), "choices": [], "usage": usage}))
        request.write(b"data: [DONE]\n\n")
        request.finish()
        return NOT_DONE_YET

    def _left(self) -> None:
        if not self._server.gone.called:
            self._server.gone.callback(None)

    @staticmethod
    def _refuse(request: Request, refusal: Refusal) -> bytes:
        request.setResponseCode(refusal.status)
        request.setHeader("content-type", "application/json")
        error = {"message": refusal.message, "type": refusal.type, "param": None, "code": None}
        return json.dumps({"error": error}).encode()


CALLED: Final = {
    "OpenAI": '0:call_1:get_time: 0:::{"ci 0:::ty":"x"}',
    "at once": '0:call_1:get_time:{"city":"x"}',
    "with the id each time": '0:call_1:get_time: 0:call_1::{"city": 0:call_1:get_time:"x"}',
    "without an index": '-:call_1:get_time:{"city": -:::"x"}',
    "without an id": '0::get_time:{"city": 0:::"x"}',
    "with neither": '-::get_time:{"city": -::get_time:"x"}',
    "the name in pieces": '0:call_1:get_: 0::time:{"city":"x"}',
}
"""How servers stream one call: deltas of index, id, name, and a piece of the arguments."""


def called(told: str) -> Iterator[dict[str, Any]]:
    """Write the deltas of calls as in `CALLED`."""
    for piece in told.split(" "):
        index, own, name, arguments = piece.split(":", 3)
        function: dict[str, Any] = {"arguments": arguments}
        call: dict[str, Any] = {"function": function}
        if index != "-":
            call["index"] = int(index)
        if own:
            call |= {"id": own, "type": "function"}
        if name:
            function["name"] = name
        yield {"tool_calls": [call]}


def break_off(request: Request) -> None:
    assert request.transport is not None
    request.transport.loseConnection()


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
