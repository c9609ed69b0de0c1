"""The ways to MCP servers: how a connection is opened, and closed again.

This imports the official client, as `session.py` does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from xiaozhi.services.bridge import to_aio
from xiaozhi.services.connections import Connections
from xiaozhi.services.http import preload
from xiaozhi.services.mcp.child import child
from xiaozhi.services.mcp.log import Log
from xiaozhi.services.mcp.settings import Server
from xiaozhi.services.mcp.texts import Incoming, Reader, Texts, Writer, parsed
from xiaozhi.services.pool import Workers

Opening = Callable[[Callable[[str], None]], AbstractAsyncContextManager[tuple[Any, Any]]]
"""Opens a connection, and gives its two streams. It is handed what is to be told, with why, when
the server says no more."""

_USELESS: Final = frozenset({401, 403, 404})
"""Answers of HTTP after which a session is none: 404 is how a server says that it forgot it."""


@attrs.frozen
class Ways:
    """Opens connections."""

    pool: Workers
    environ: Mapping[str, str]

    def to(self, server: Server, log: Log) -> Opening:
        """Tell how a configured server is reached; what it writes is for the `log`."""

        @asynccontextmanager
        async def started(over: Callable[[str], None]) -> AsyncGenerator[tuple[Any, Any], None]:
            async with child(server, self.environ, log) as process:
                yield Reader(parsed(process, self.pool), over), Writer(process)

        @asynccontextmanager
        async def reached(over: Callable[[str], None]) -> AsyncGenerator[tuple[Any, Any], None]:
            http = await to_aio(self.pool.run(_client, server))

            async def look(response: httpx2.Response) -> None:
                # With streamable HTTP only what is posted matters: a server may refuse the rest.
                matters = server.spoken == "sse" or response.request.method == "POST"
                if matters and response.status_code in _USELESS:
                    over(f"it answered {response.status_code} {response.reason_phrase}")

            http.event_hooks["response"].append(look)
            spoken = _sse if server.spoken == "sse" else _streamable
            async with spoken(server.url, http) as (reading, writing):
                yield Reader(_received(reading), over), writing

        return started if server.spoken == "stdio" else reached

    def over(self, texts: Texts) -> Opening:
        """Tell how a server that has come to us is spoken to."""

        @asynccontextmanager
        async def come(over: Callable[[str], None]) -> AsyncGenerator[tuple[Any, Any], None]:
            yield Reader(parsed(texts, self.pool), over), Writer(texts)

        return come


def _client(server: Server) -> Connections:
    """Make a client for HTTP: for a thread. Its answers have an end, also a stream of events."""
    preload()
    return Connections(headers=dict(server.headers), timeout=httpx2.Timeout(10, read=300))


def _sse(url: str, http: Connections) -> Any:
    """Speak by server-sent events."""
    given: Any = partial(_given, http)
    return sse_client(url, httpx_client_factory=given)


def _given(http: Connections, **_: Any) -> Connections:
    return http


@asynccontextmanager
async def _streamable(url: str, http: Connections) -> AsyncGenerator[Any, None]:
    """Speak by streamable HTTP."""
    async with http, streamable_http_client(url, http_client=http) as streams:
        yield streams


def _received(stream: Any) -> Callable[[], Any]:
    async def receive() -> Incoming | None:
        message: Incoming | None = await anext(stream, None)
        return message

    return receive
