"""One MCP session, from the opening of its connection to its end, in one asyncio task.

This imports the official client, which takes half a second: `link.py` has it done in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio
from mcp.client.session import ClientSession
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
from xiaozhi.services.mcp.listing import Offered, offered
from xiaozhi.services.mcp.ways import Opening
from xiaozhi.services.pool import Workers

PAGES: Final = 50
"""Pages of a list of tools that are read."""
LISTING: Final = 60.0
"""Seconds for a list of tools; who answers pings, but never this, would be known by an old one."""
CALM: Final = 1.0
"""Seconds between two lists, at least: a server may say all the time that it has others."""

# They would write tracebacks to stderr of what we tell in a line.
for _name in ("mcp", "client"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Session:
    """A session with a server."""

    def __init__(
        self,
        opening: Opening,
        told: Callable[[str, Sequence[Offered]], None],
        over: Callable[[str], None],
        pool: Workers,
    ) -> None:
        """Open it by `opening`; long lists are read in the `pool`.

        `told` is told the server's name and its tools, at each change; `over` that it is of no
        use any more, with why, while its end may still take a moment.
        """
        self._opening = opening
        self._told = told
        self._over = over
        self._pool = pool
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
                        listed: list[Listed] = []
                        with anyio.move_on_after(LISTING) as patience:
                            listed = await _list(client)
                        if patience.cancelled_caught:
                            self.end(f"its list of tools has not come within {LISTING:g} s")
                            return
                        self._told(server.name, await to_aio(self._pool.run(offered, listed)))
                        await anyio.sleep(CALM)
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
