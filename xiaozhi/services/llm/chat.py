"""Chat with an OpenAI-compatible server: one streamed answer at a time, as plain text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import Deferred, succeed

from xiaozhi.errors import ServiceError
from xiaozhi.services.bridge import from_aio, from_aio_stream, to_aio
from xiaozhi.services.llm import Message
from xiaozhi.services.llm.lazy import Lazy
from xiaozhi.services.pool import Workers

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT = 2.0
"""How long connecting may take, in seconds."""


_LATE = ("anyio._backends._asyncio", "email.policy")


def preload() -> None:
    """Import what the HTTP client would only import at its first request, on the reactor."""
    for name in _LATE:
        with suppress(ImportError):  # another version of it may have another
            import_module(name)


@attrs.frozen
class Server:
    """Where an OpenAI-compatible server is, and how long it may keep silent."""

    url: str
    key: str = attrs.field(repr=False)
    silence: float
    """Seconds without a sign of the server after which it has failed."""
    proxied: bool = True
    """Whether the proxies of the environment are used."""
    keeper: object = attrs.field(default=None, repr=False)
    """What must live as long as the server is in use, and ends it when it is let go."""

    @property
    def shown(self) -> str:
        """The address without what may be secret in it: name, password and query."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@attrs.frozen
class _Link:
    client: AsyncOpenAI
    server: Server


class Chat:
    """A client of one server. It keeps connections open between answers: `close` it."""

    def __init__(self, pool: Workers, find: Callable[[], Server]) -> None:
        """Take what tells the server, or starts it; called in a thread of `pool` at first use."""
        self._find = find
        self._link = Lazy(pool, self._connect)

    def stream(
        self, messages: Sequence[Message], model: str, **options: float | None
    ) -> AsyncIterator[str]:
        """Yield the answer in pieces, an async generator; raises ServiceError.

        `options` are parameters of a chat completion (`max_tokens`, `temperature`); None leaves
        one to the server.
        """
        request: dict[str, Any] = {name: v for name, v in options.items() if v is not None}
        request["messages"] = [message._asdict() for message in messages]
        request["model"] = model
        return from_aio_stream(lambda: self._answer(request))

    def warm(self) -> None:
        """Get ready for the first answer, in the background; what fails is tried again then."""
        self._link.get().addErrback(lambda _: None)

    def close(self) -> Deferred[None]:
        """Close the connections. An answer on its way fails."""
        link = self._link.drop()
        return succeed(None) if link is None else from_aio(_close(link))

    def _connect(self) -> _Link:
        """Import openai and make a client: half a second of work, for a thread."""
        import openai

        preload()
        server = self._find()
        timeout = openai.Timeout(server.silence, connect=CONNECT)
        client = openai.AsyncOpenAI(
            api_key=server.key or "none",
            base_url=server.url,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(timeout=timeout, trust_env=server.proxied),
        )
        _ = client.chat.completions  # imports some more
        return _Link(client, server)

    async def _answer(self, request: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Yield the pieces of an answer. Belongs to asyncio."""
        link = await to_aio(self._link.get())
        import openai

        try:
            async with aclosing(_deltas(link.client, request)) as deltas:
                async for delta in deltas:
                    yield delta
        # Lines that are no JSON, and addresses or keys that cannot be sent, are ValueErrors.
        except (openai.OpenAIError, ValueError) as error:
            raise _failure(link.server, request["model"], error) from error


async def _close(link: _Link) -> None:
    # The server may live by this reference: it goes when its connections are gone.
    await link.client.close()


async def _deltas(client: AsyncOpenAI, request: dict[str, Any]) -> AsyncGenerator[str, None]:
    """Yield the texts of a completion's chunks; ValueError if one is no chunk."""
    from openai.types.chat import ChatCompletionChunk

    # Leaving the stream's context closes the connection: that stops the generation.
    async with await client.chat.completions.create(stream=True, **request) as chunks:
        async for chunk in chunks:
            if not isinstance(chunk, ChatCompletionChunk):
                raise ValueError("not an object")
            # The chunks are not checked by the package: usage chunks have no choices, and some
            # servers leave fields out or set them to null.
            for choice in (chunk.choices or ())[:1]:
                content = getattr(getattr(choice, "delta", None), "content", None)
                if content and isinstance(content, str):
                    yield content


def _failure(server: Server, model: str, error: Exception) -> ServiceError:
    import openai

    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # What the server says to these may repeat the key.
        cause = f"HTTP {error.status_code}, the API key was refused"
    elif isinstance(error, openai.APIStatusError):
        cause = f"HTTP {error.status_code}, {_message(error)}"
    elif isinstance(error, openai.APITimeoutError):
        cause = "timed out"
    elif isinstance(error, openai.APIConnectionError):
        cause = str(error.__cause__ or error) or "the connection broke"
    elif isinstance(error, openai.OpenAIError):
        cause = str(error)
    else:
        cause = f"sent what is no chat completion ({type(error).__name__})"
    if server.key:
        cause = cause.replace(server.key, "***")
    return ServiceError("llm", f"{server.shown}, {model}: {_short(cause)}")


def _message(error: Any) -> str:
    """What the server said, without the JSON around it."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return str(error.message)


def _short(text: str, limit: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
