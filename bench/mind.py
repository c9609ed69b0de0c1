"""A model behind OpenAI's API on loopback that answers at once, and calls the tool it is asked to.

What it takes itself is the floor of a round trip, so its answers are made beforehand.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from xiaozhi._reactor import install

install(fast=True)  # before Twisted's web server imports another

from twisted.internet import reactor as the_reactor  # noqa: E402
from twisted.web.resource import Resource  # noqa: E402
from twisted.web.server import Request, Site  # noqa: E402

from bench.sounds import SENTENCES  # noqa: E402
from bench.tools import CALLS  # noqa: E402

reactor: Any = the_reactor


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _stream(delta: dict[str, Any], finish: str) -> bytes:
    begun = _event({"role": "assistant", "content": ""})
    return begun + _event(delta) + _event({}, finish) + b"data: [DONE]\n\n"


def _calling(name: str, arguments: dict[str, Any]) -> bytes:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return _stream({"tool_calls": [call]}, "tool_calls")


ANSWER: Final = _stream({"content": " ".join(SENTENCES)}, "stop")
_CALLING: Final = {f"the {kind} tool": _calling(*call) for kind, call in CALLS.items()}


class Completions(Resource):
    """Answers, or calls a tool; and tells how much it was asked."""

    isLeaf = True

    def __init__(self) -> None:
        """Nobody has asked yet."""
        super().__init__()
        self._sizes: list[int] = []

    def render_POST(self, request: Request) -> bytes:
        """Answer as /v1/chat/completions does, all of it at once."""
        assert request.content is not None
        body = request.content.read()
        asked = json.loads(body)
        if "tools" in asked:  # the others are for summaries
            self._sizes.append(len(body))
        request.setHeader("content-type", "text/event-stream; charset=utf-8")
        last = asked["messages"][-1]
        if last["role"] == "user":
            for words, answer in _CALLING.items():
                if words in last["content"]:
                    return answer
        return ANSWER

    def render_GET(self, request: Request) -> bytes:
        """Tell how many bytes each request with tools had since this was asked last."""
        sizes, self._sizes = self._sizes, []
        return json.dumps(sizes).encode()


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    root, v1, chat = Resource(), Resource(), Resource()
    root.putChild(b"v1", v1)
    v1.putChild(b"chat", chat)
    chat.putChild(b"completions", Completions())
    port = parser.parse_args().port
    reactor.listenTCP(port, Site(root), backlog=1024, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main()
