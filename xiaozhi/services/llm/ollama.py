"""Think with a local Ollama, if one answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred, succeed
from twisted.logger import Logger

from xiaozhi.errors import Absent, ServiceError, missing
from xiaozhi.services import engine
from xiaozhi.services.bridge import from_aio, from_aio_stream, to_aio
from xiaozhi.services.fields import Connect, Known, MaxTokens, Silence
from xiaozhi.services.http import address, failure, preload, short, shown
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.llm import Message, Piece
from xiaozhi.services.llm.fitting import fitting
from xiaozhi.services.llm.tooltext import Form, arguments, in_words, schema
from xiaozhi.services.warmer import Warmer
from xiaozhi.tooling import Call, Tool, legal

if TYPE_CHECKING:
    import httpx2

RETRY = 30.0
"""How long an absent Ollama is not asked again, in seconds."""
LOADING = 120.0
"""How long it may keep silent while it loads a model, in seconds."""
ANSWER = 512
"""Tokens of the context that an answer needs, unless it may be longer."""


class Settings(engine.Settings, frozen=True):
    """Settings of a local Ollama."""

    url: Annotated[str, Meta(description="Address of the Ollama server.", min_length=1)] = (
        "${OLLAMA_URL:-http://127.0.0.1:11434}"
    )
    model: Annotated[
        str, Meta(description="Name of the model. Empty: the first one that is installed.")
    ] = ""
    keep_alive: Annotated[
        str, Meta(description='How long the model stays in memory between answers, as in "30m".')
    ] = "30m"
    max_tokens: MaxTokens = None
    context: Annotated[
        Annotated[int, Meta(ge=1024, le=1_048_576)] | None,
        Meta(
            description="Size of the context, in tokens. Ollama's own is often too small for the"
            " tools and what was said, and it drops what does not fit. Empty: Ollama's own."
        ),
    ] = 8192
    tools: Form = "native"
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        Meta(description="0 sober to 2 wild. Empty: up to the model."),
    ] = None
    # A server without Ollama must lose no time.
    connect_s: Connect = 0.5
    timeout_s: Silence = 10.0
    languages: Known = ("*",)


class _Details(msgspec.Struct):
    family: str = ""


class _Installed(msgspec.Struct):
    name: str
    details: _Details | None = None

    @property
    def chats(self) -> bool:
        """Whether it is a model to talk with: those that only embed text are of BERT's family."""
        family = self.details.family if self.details else ""
        return "bert" not in family and "embed" not in self.name


class _Tags(msgspec.Struct):
    models: list[_Installed]


class _Function(msgspec.Struct):
    name: str = ""
    arguments: Any = None


class _Wanted(msgspec.Struct):
    function: _Function
    id: str = ""


class _Said(msgspec.Struct):
    content: str = ""
    tool_calls: list[_Wanted] | None = None


class _Piece(msgspec.Struct):
    """A line of the stream; what a thinking model thinks is in a field we leave out."""

    message: _Said | None = None
    done: bool = False
    error: str = ""


class Model(Service):
    """A model of an Ollama server. Whether there is one is found out when it is needed."""

    log = Logger()

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Raise Unavailable if it cannot be spoken to; an Ollama that is not there may come."""
        if find_spec("httpx2") is None:
            raise missing("httpx2")
        self._url = address(settings.url, "url")
        self.languages: Collection[str] = frozenset(settings.languages)
        self._settings = settings
        self._reactor = workshop.reactor
        self._client = Lazy(workshop.pool, self._connect)
        self._warmer = Warmer(workshop.reactor, self._prepare)
        self._lock = DeferredLock()
        self._model = ""
        self._toolless: set[str] = set()
        """Models that take no tools."""
        self._absence = ""
        self._ask_again_at = 0.0

    def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer in pieces as the server sends them."""
        return from_aio_stream(lambda: self._answer(messages, tools))

    def startService(self) -> None:
        """Begin to find the model and to load it, in the background."""
        super().startService()
        self.warm()

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        return self._warmer.stop().addCallback(lambda _: self._disconnect())

    def warm(self) -> None:
        """Have a connection and the model in memory, for a request that will soon come."""
        if self.running:
            self._warmer.warm()

    def _disconnect(self) -> Deferred[None]:
        client = self._client.drop()
        return succeed(None) if client is None else from_aio(client.aclose())

    def _connect(self) -> httpx2.AsyncClient:
        """Import httpx2 and make a client: for a thread."""
        import httpx2

        from xiaozhi.services.connections import Connections

        preload()
        settings = self._settings
        try:
            return Connections(
                base_url=self._url,
                timeout=httpx2.Timeout(settings.timeout_s, connect=settings.connect_s),
                trust_env=False,  # no proxy stands between us and a server in the house
            )
        except httpx2.InvalidURL as error:
            raise self._failure("its address is of no use") from error

    async def _prepare(self) -> None:
        """Have Ollama load the model. Belongs to asyncio."""
        with suppress(ServiceError):  # the next request will tell
            client = await to_aio(self._client.get())
            model = await to_aio(ensureDeferred(self._find(client)))
            import httpx2

            with suppress(httpx2.HTTPError):
                request = {
                    "model": model,
                    "keep_alive": self._settings.keep_alive,
                    "options": self._options(),  # with another context it would be loaded again
                }
                await client.post("/api/generate", json=request, timeout=LOADING)

    async def _answer(
        self, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of an answer. Belongs to asyncio."""
        client = await to_aio(self._client.get())
        import httpx2

        model = await to_aio(ensureDeferred(self._find(client)))
        try:
            async with self._asked(client, model, messages, tools) as r:
                done = False
                async for line in r.aiter_lines():
                    piece = msgspec.json.decode(line, type=_Piece)
                    if piece.error:
                        raise self._failure(piece.error)
                    said = piece.message or _Said()
                    if said.content:
                        yield said.content
                    for wanted in said.tool_calls or ():
                        yield Call(wanted.id, wanted.function.name, wanted.function.arguments)
                    done = piece.done
                if not done:
                    raise self._failure("the answer broke off")
                self._warmer.used()
        except httpx2.HTTPError as error:
            raise self._lost(str(error) or type(error).__name__) from error
        except msgspec.MsgspecError as error:
            raise self._failure("sent what is no chat") from error

    @asynccontextmanager
    async def _asked(
        self,
        client: httpx2.AsyncClient,
        model: str,
        messages: Sequence[Message],
        tools: Sequence[Tool],
    ) -> AsyncGenerator[httpx2.Response, None]:
        """Lend the response that an answer comes in; tools are told in words to who takes none."""
        import httpx2

        while True:
            request = self._request(model, messages, tools)
            async with client.stream("POST", "/api/chat", json=request) as response:
                if response.status_code == httpx2.codes.OK:
                    yield response
                    return
                reason = _reason(await response.aread())
                if "tools" in request and "does not support tools" in reason:
                    self._toolless.add(model)
                    continue
                lost = self._lost(f"HTTP {response.status_code}, {reason}")
                raise failure("llm", lost.why, response.status_code, response.headers)

    def _request(
        self, model: str, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> dict[str, Any]:
        return {
            "model": model,
            **self._conversation(model, messages, tools),
            "stream": True,
            "think": False,  # nobody waits for thoughts in a conversation
            "keep_alive": self._settings.keep_alive,
            "options": self._options(),
        }

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        options = {
            "num_ctx": settings.context,
            "num_predict": settings.max_tokens,
            "temperature": settings.temperature,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _conversation(
        self, model: str, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> dict[str, Any]:
        """Write the conversation, and the tools if the model takes them."""
        form = self._settings.tools
        form = "text" if form == "native" and model in self._toolless else form
        if self._settings.context is not None:
            room = self._settings.context - (self._settings.max_tokens or ANSWER)
            messages = fitting(messages, room, form, tools)
        if form != "native":
            messages = in_words(messages, tools if form == "text" else ())
        names = {call.id: legal(call.name) for message in messages for call in message.calls}
        told: dict[str, Any] = {"messages": [_message(message, names) for message in messages]}
        if tools and form == "native":
            told["tools"] = [schema(tool) for tool in tools]
        return told

    async def _find(self, client: httpx2.AsyncClient) -> str:
        """Return the model to use; ServiceError, at once after the first time, if there is none."""
        await self._lock.acquire()  # who comes while it is being asked waits for the answer
        try:
            now = self._reactor.seconds()
            if self._absence and now < self._ask_again_at:
                raise Absent("llm", self._absence)
            if not self._model:
                self._ask_again_at = now + RETRY
                self._model = await from_aio(self._ask(client))
                self._absence = ""
                self.log.info(
                    "Ollama at {url}: using {model}", url=shown(self._url), model=self._model
                )
            return self._model
        except ServiceError as error:
            self._absence = error.why
            raise Absent("llm", error.why) from error
        finally:
            self._lock.release()

    async def _ask(self, client: httpx2.AsyncClient) -> str:
        """Ask the server which models it has; return ours. Belongs to asyncio."""
        import httpx2

        try:
            response = await client.get("/api/tags")
            response.raise_for_status()
            installed = msgspec.json.decode(response.content, type=_Tags).models
        except httpx2.HTTPError as error:
            raise self._failure(f"no answer ({str(error) or type(error).__name__})") from error
        except msgspec.MsgspecError as error:
            raise self._failure("what answers there is no Ollama") from error
        wanted = self._settings.model
        if not wanted:
            for model in installed:
                if model.chats:
                    return model.name
            raise self._failure("no model is installed: ollama pull qwen2.5:3b, say")
        if not {wanted, f"{wanted}:latest"} & {model.name for model in installed}:
            raise self._failure(f"the model {wanted} is not installed: ollama pull {wanted}")
        return wanted

    def _lost(self, why: str) -> ServiceError:
        """Forget what was found out, since it may have changed; say why."""
        self._model = ""
        return self._failure(why)

    def _failure(self, why: str) -> ServiceError:
        return ServiceError("llm", f"{shown(self._url)}: {short(why)}")


def _message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    """Write a message as the API has it; `names` are those of the calls, by their ids."""
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        told["tool_name"] = names.get(message.call_id, "")
    if message.calls:
        told["tool_calls"] = [
            {"function": {"name": legal(call.name), "arguments": dict(arguments(call))}}
            for call in message.calls
        ]
    return told


def _reason(body: bytes) -> str:
    """Return what an error's body says."""
    try:
        return msgspec.json.decode(body, type=_Piece).error or "no reason given"
    except msgspec.MsgspecError:
        return "no reason given"
