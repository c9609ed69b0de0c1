"""A server that speaks OpenAI's API: the client that ears, mind and voice share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import attrs
from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from xiaozhi.errors import ServiceError, Unavailable, missing
from xiaozhi.services import engine
from xiaozhi.services.bridge import from_aio, to_aio
from xiaozhi.services.http import address, preload, short, shown
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.pool import Workers

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

HOME = "https://api.openai.com/v1"
CONNECT = 2.0
"""How long connecting may take, in seconds."""


BaseUrl = Annotated[
    str, Meta(description="Address of the API, ending in /v1 as a rule. Empty: OpenAI's own.")
]
ApiKey = Annotated[
    str, Meta(description="The key. May be empty for a server of your own (set base_url).")
]


class Settings(engine.Settings, frozen=True):
    """How such a server is reached: the first settings of every engine that uses one."""

    base_url: BaseUrl = "${OPENAI_BASE_URL:-}"
    api_key: ApiKey = "${OPENAI_API_KEY:-}"


class BadAnswer(ValueError):
    """The server's answer is not what it was asked for; `str()` says what it did instead."""


@attrs.frozen
class Server:
    """Where a server is, and how long it may keep silent."""

    url: str = attrs.field(repr=False)
    key: str = attrs.field(repr=False)
    silence: float
    """Seconds without a sign of the server after which it has failed."""
    proxied: bool = True
    """Whether the proxies of the environment are used."""
    keeper: object = attrs.field(default=None, repr=False)
    """What must live as long as the server is in use, and ends it when it is let go."""

    @property
    def shown(self) -> str:
        """The address without what may be secret in it."""
        return shown(self.url)


@attrs.frozen
class _Link:
    client: AsyncOpenAI
    server: Server


class Client(Service):
    """A client of one server. Its connections are kept for reuse, until the service stops.

    Importing openai and making a client is half a second of work: it is done once, in a thread.
    """

    def __init__(
        self, stage: str, pool: Workers, find: Callable[[], Server], warm: bool = True
    ) -> None:
        """Serve `stage`. `find` tells the server, or starts it; it is called in a thread.

        That happens at the start if the client is to be `warm`, else at the first request.
        """
        self._stage = stage
        self._find = find
        self._warm = warm
        self._link = Lazy(pool, self._connect)

    @classmethod
    def configured(cls, stage: str, settings: Settings, silence: float, pool: Workers) -> Client:
        """Make the client of the server in `settings`; raise Unavailable if there is none."""
        if find_spec("openai") is None:
            raise missing("openai")
        name = "OPENAI" if stage == "llm" else f"OPENAI_{stage.upper()}"
        if not settings.api_key and not settings.base_url:
            raise Unavailable(
                f"neither {name}_API_KEY nor {name}_BASE_URL is set",
                f"没有设置 {name}_API_KEY，也没有设置 {name}_BASE_URL",
            )
        url = address(settings.base_url or HOME, "base_url")
        # The end of a line comes with a key that is read from a file.
        server = Server(url, settings.api_key.strip(), silence)
        return cls(stage, pool, lambda: server)

    def startService(self) -> None:
        """Get ready for the first request, in the background; what fails is tried again then."""
        super().startService()
        if self._warm:
            self._link.get().addErrback(lambda _: None)

    def stopService(self) -> Deferred[None]:
        """Close the connections. A request on its way fails."""
        super().stopService()
        link = self._link.drop()
        return succeed(None) if link is None else from_aio(_close(link))

    @asynccontextmanager
    async def asking(self, model: str) -> AsyncGenerator[AsyncOpenAI, None]:
        """Lend openai's client for one request to `model`. Belongs to asyncio.

        What goes wrong meanwhile with the server or its answer becomes a ServiceError.
        """
        link = await to_aio(self._link.get())
        import httpx2
        import openai

        try:
            yield link.client
        # openai lets through what httpx2 raises in the middle of a stream, and, as ValueErrors,
        # lines that are no JSON and texts or keys that cannot be sent.
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
            cause = short(_masked(_cause(error), link.server.key))
            raise ServiceError(self._stage, f"{link.server.shown}, {model}: {cause}") from error

    def _connect(self) -> _Link:
        """Find the server and make its client: for a thread."""
        import httpx2
        import openai

        preload()
        server = self._find()
        timeout = openai.Timeout(server.silence, connect=CONNECT)
        try:
            client = openai.AsyncOpenAI(
                api_key=server.key or "none",  # it insists on one
                base_url=server.url,
                max_retries=0,
                timeout=timeout,
                http_client=openai.DefaultAsyncHttpxClient(
                    timeout=timeout, trust_env=server.proxied
                ),
            )
        except (httpx2.InvalidURL, ValueError, ImportError) as error:  # SOCKS needs a package
            cause = f"its address or a proxy is of no use ({type(error).__name__})"
            raise ServiceError(self._stage, f"{server.shown}: {cause}") from error
        _ = client.chat.completions, client.audio.speech  # imports some more
        return _Link(client, server)


async def _close(link: _Link) -> None:
    # The server may live by this reference: it goes when its connections are gone.
    await link.client.close()


def _cause(error: Exception) -> str:
    """Say what went wrong; it may hold the key."""
    import httpx2
    import openai

    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # What the server says to these may repeat parts of the key.
        return f"HTTP {error.status_code}, the API key was refused"
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code}, {_message(error)}"
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return "timed out"
    if isinstance(error, openai.APIConnectionError):
        return str(error.__cause__ or error) or "the connection broke"
    if isinstance(error, UnicodeEncodeError):
        return "the text or the key cannot be sent"
    if isinstance(error, ValueError) and not isinstance(error, BadAnswer):
        return f"the answer makes no sense ({type(error).__name__})"
    return str(error) or type(error).__name__


def _message(error: APIStatusError) -> str:
    """What the server said, without the JSON around it."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return error.message


def _masked(text: str, key: str) -> str:
    """Take the key out, also as it looks in the repr of a header."""
    for secret in filter(None, (key, repr(key)[1:-1])):
        text = text.replace(secret, "***")
    return text
