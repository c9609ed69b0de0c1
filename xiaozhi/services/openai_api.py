"""A server that speaks OpenAI's API: the client that ears, mind and voice share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import attrs
from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from xiaozhi.errors import ServiceError, Unavailable, missing
from xiaozhi.services import engine
from xiaozhi.services.bridge import from_aio, to_aio
from xiaozhi.services.fields import Connect, Silence
from xiaozhi.services.http import address, preload, shown
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.openai_errors import explained, raised
from xiaozhi.services.warmer import Warmer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

HOME = "https://api.openai.com/v1"
_WARMING = 2.0
"""Seconds that opening a connection beforehand may take."""


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
    connect_s: Connect = 2.0
    timeout_s: Silence = 10.0


@attrs.frozen
class Server:
    """Where a server is, and how long it may keep silent."""

    url: str = attrs.field(repr=False)
    key: str = attrs.field(repr=False)
    silence: float
    """Seconds without a sign of the server after which it has failed."""
    connect: float = 2.0
    """Seconds connecting to it may take."""
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
        self,
        stage: str,
        workshop: engine.Workshop,
        find: Callable[[], Server],
        at_once: bool = True,
    ) -> None:
        """Serve `stage`. `find` tells the server, or starts it; it is called in a thread.

        That happens at the start if it is to be `at_once`, else at the first request.
        """
        self._stage = stage
        self._find = find
        self._at_once = at_once
        self._link = Lazy(workshop.pool, self._connect)
        self._warmer = Warmer(workshop.reactor, self._prepare)

    @classmethod
    def configured(cls, stage: str, settings: Settings, workshop: engine.Workshop) -> Client:
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
        key = settings.api_key.strip()
        server = Server(url, key, settings.timeout_s, settings.connect_s)
        return cls(stage, workshop, lambda: server)

    def startService(self) -> None:
        """Get ready for the first request, in the background; what fails is tried again then."""
        super().startService()
        if self._at_once:
            self._link.get().addErrback(lambda _: None)

    def stopService(self) -> Deferred[None]:
        """Close the connections. A request on its way fails."""
        super().stopService()
        return self._warmer.stop().addCallback(lambda _: self._disconnect())

    def warm(self) -> None:
        """Have a connection ready for a request that will soon come, in the background."""
        if self.running:
            self._warmer.warm()

    @asynccontextmanager
    async def asking(self, model: str) -> AsyncGenerator[AsyncOpenAI, None]:
        """Lend openai's client for one request to `model`. Belongs to asyncio.

        What goes wrong meanwhile with the server or its answer becomes a ServiceError.
        """
        link = await to_aio(self._link.get())
        try:
            yield link.client
        except raised() as error:
            where = f"{link.server.shown}, {model}"
            raise explained(error, self._stage, where, link.server.key) from error
        self._warmer.used()

    async def _prepare(self) -> None:
        """Send a small request, for the connection's sake. Belongs to asyncio."""
        with suppress(ServiceError, TimeoutError):  # whatever it is, the next request will tell
            async with asyncio.timeout(_WARMING), self.asking("") as api:
                await api.models.with_raw_response.list()

    def _disconnect(self) -> Deferred[None]:
        link = self._link.drop()
        return succeed(None) if link is None else from_aio(_close(link))

    def _connect(self) -> _Link:
        """Find the server and make its client: for a thread."""
        import httpx2
        import openai

        from xiaozhi.services.connections import Connections

        preload()
        server = self._find()
        timeout = openai.Timeout(server.silence, connect=server.connect)
        try:
            client = openai.AsyncOpenAI(
                api_key=server.key or "none",  # it insists on one
                base_url=server.url,
                max_retries=0,
                timeout=timeout,
                http_client=Connections(
                    timeout=timeout, trust_env=server.proxied, follow_redirects=True
                ),
            )
        except (httpx2.InvalidURL, ValueError, ImportError) as error:  # SOCKS needs a package
            cause = f"its address or a proxy is of no use ({type(error).__name__})"
            raise ServiceError(self._stage, f"{server.shown}: {cause}") from error
        _ = client.chat.completions, client.audio.speech, client.models  # imports some more
        return _Link(client, server)


async def _close(link: _Link) -> None:
    # The server may live by this reference: it goes when its connections are gone.
    await link.client.close()
