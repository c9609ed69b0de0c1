"""An Ollama server on loopback, speaking its native API: the models it has, loading, and chat.

What it answers is a script, as in `openai_llm`; a dict is a message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback
from tests.openai_llm import BREAK, STALL, break_off


class OllamaServer:
    """Has `models` (names, or names with a family), and answers every chat with `script`."""

    def __init__(
        self, *script: Any, models: Sequence[str] = ("qwen2.5:3b",), port: int = 0
    ) -> None:
        self.script: tuple[Any, ...] = script
        self.models = list(models)
        self.status = 200
        self.takes_tools = True
        self.asked: list[dict[str, Any]] = []
        self.probes = 0
        self.loaded: list[dict[str, Any]] = []
        self.gone: Deferred[None] = Deferred()
        """Fires when a client has left before its answer was complete."""
        api = Folder(tags=_Tags(self), generate=_Generate(self), chat=_Chat(self))
        self._loopback = Loopback(Folder(api=api), port)
        self.port = self._loopback.port
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were made to it."""
        return self._loopback.connections

    async def stop(self) -> None:
        await self._loopback.stop()


class _Tags(Resource):
    isLeaf = True

    def __init__(self, server: OllamaServer) -> None:
        super().__init__()
        self._server = server

    def render_GET(self, request: Request) -> bytes:
        self._server.probes += 1
        models = [
            {
                "name": name,
                "model": name,
                "modified_at": "2026-01-01T00:00:00Z",
                "size": 1929912432,
                "digest": "0" * 64,
                "details": {
                    "parent_model": "",
                    "format": "gguf",
                    "family": "nomic-bert" if "nomic" in name else "qwen2",
                    "families": None,
                    "parameter_size": "3.1B",
                    "quantization_level": "Q4_K_M",
                },
            }
            for name in self._server.models
        ]
        return _json(request, {"models": models})


class _Generate(Resource):
    """Loads a model, if it is asked for nothing else."""

    isLeaf = True

    def __init__(self, server: OllamaServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        body = json.loads(request.content.read())
        assert "prompt" not in body
        self._server.loaded.append(body)
        end = {"response": "", "done": True, "done_reason": "load"}
        return _json(request, {"model": body["model"], **end})


class _Chat(Resource):
    isLeaf = True

    def __init__(self, server: OllamaServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> Any:
        server = self._server
        assert request.content is not None
        body = json.loads(request.content.read())
        server.asked.append(body)
        if body["model"] not in {*server.models, *(m.partition(":")[0] for m in server.models)}:
            request.setResponseCode(404)
            return _json(request, {"error": f"model '{body['model']}' not found"})
        if server.status != 200:
            request.setResponseCode(server.status)
            return _json(request, {"error": "llama runner process has terminated"})
        if "tools" in body and not server.takes_tools:
            request.setResponseCode(400)
            where = f"registry.ollama.ai/library/{body['model']}"
            return _json(request, {"error": f"{where} does not support tools"})
        request.notifyFinish().addErrback(lambda _: self._left())
        request.setHeader("content-type", "application/x-ndjson")
        for step in server.script:
            if step is STALL:
                return NOT_DONE_YET
            if step is BREAK:
                break_off(request)
                return NOT_DONE_YET
            request.write(step if isinstance(step, bytes) else _line(body["model"], step))
        end = {"done": True, "done_reason": "stop", "eval_count": 3, "total_duration": 5}
        request.write(_line(body["model"], "", end))
        request.finish()
        return NOT_DONE_YET

    def _left(self) -> None:
        if not self._server.gone.called:
            self._server.gone.callback(None)


def _line(model: str, said: str | dict[str, Any], more: dict[str, Any] | None = None) -> bytes:
    message = said if isinstance(said, dict) else {"content": said}
    line = {
        "model": model,
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", **message},
        "done": False,
    }
    return json.dumps({**line, **(more or {})}, ensure_ascii=False).encode() + b"\n"


def _json(request: Request, data: dict[str, Any]) -> bytes:
    request.setHeader("content-type", "application/json; charset=utf-8")
    return json.dumps(data).encode()
