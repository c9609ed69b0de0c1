"""One MCP session, from the opening of its connection to its end, in one asyncio task.

This imports the official client, which takes half a second: `link.py` has it done in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio
import attrs
import httpx2
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    PaginatedRequestParams,
    ToolListChangedNotification,
)
from mcp_types import Tool as Listed

from xiaozhi import __version__
from xiaozhi.services.bridge import to_aio
from xiaozhi.services.connections import Connections
from xiaozhi.services.http import preload
from xiaozhi.services.mcp.child import child
from xiaozhi.services.mcp.settings import Server
from xiaozhi.services.mcp.texts import Incoming, Reader, Texts, Writer, parsed
from xiaozhi.services.pool import Workers

PAGES: Final = 50
"""Pages of a list of tools that are read."""

# They would write tracebacks to stderr of what we tell in a line.
for _name in ("mcp", "client"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_USELESS: Final = frozenset({401, 403, 404})
"""Answers of HTTP after which a session is none: 404 is how a server says that it forgot it."""

Opening = Callable[[Callable[[str], None]], AbstractAsyncContextManager[tuple[Any, Any]]]
"""Opens a connection, and gives its two streams. It is handed what is to be told, with why, when
the server says no more."""


class Session:
    """A session with a server."""

    def __init__(
        self,
        opening: Opening,
        told: Callable[[str, Sequence[Listed]], None],
        over: Callable[[str], None],
    ) -> None:
        """Open it by `opening`.

        `told` is told the server's name and its tools, at each change; `over` that it is of no
        use any more, with why, while its end may still take a moment.
        """
        self._opening = opening
        self._told = told
        self._over = over
        self._client: ClientSession | None = None
        self._scope: anyio.CancelScope | None = None
        self._ended = False
        self._stale = anyio.Event()
        self.why = ""
        """Why it has ended, if by no error."""

    async def run(self) -> None:
        """Be connected, until the end. Raises what the libraries raise, in groups at times."""
        if self._ended:
            return
        with anyio.CancelScope() as self._scope:
            async with self._opening(self.end) as (reading, writing):
                client = ClientSession(
                    reading,
                    writing,
                    message_handler=self._heard,
                    client_info=Implementation(name="xiaozhi", version=__version__),
                )
                async with client:
                    server = (await client.initialize()).server_info
                    self._client = client
                    while True:
                        self._stale = anyio.Event()
                        self._told(server.name, await _list(client))
                        await self._stale.wait()

    def end(self, why: str = "") -> None:
        """End it. What is being called fails."""
        if self._ended:
            return
        self._ended, self.why = True, why
        self._over(why)
        if self._scope is not None:
            self._scope.cancel()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Call a tool. Raises MCPError, and ValueError if the result is none.

        Who cancels this has the server told.
        """
        assert self._client is not None, "tools are known once there is a session"
        params = CallToolRequestParams(name=tool, arguments=dict(arguments))
        # Not `call_tool`, which would compile the schema of the result to check it, on the reactor.
        return await self._client.send_request(CallToolRequest(params=params), CallToolResult)

    async def ping(self) -> None:
        """See whether the server answers. Raises MCPError."""
        if self._client is None:
            return
        try:
            await self._client.send_ping()
        except MCPError as error:
            if error.error.code != METHOD_NOT_FOUND:  # which is an answer, too
                raise

    async def _heard(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._stale.set()


async def _list(client: ClientSession) -> list[Listed]:
    """List the tools, page by page."""
    found: list[Listed] = []
    cursor = None
    for _ in range(PAGES):
        page = await client.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return found


@attrs.frozen
class Ways:
    """Opens connections."""

    pool: Workers
    environ: Mapping[str, str]

    def to(self, server: Server, say: Callable[[str], None]) -> Opening:
        """Tell how a configured server is reached; its log is told to `say`."""

        @asynccontextmanager
        async def started(over: Callable[[str], None]) -> AsyncGenerator[tuple[Any, Any], None]:
            async with child(server, self.environ, say) as process:
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
    """Make a client for HTTP: for a thread."""
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
