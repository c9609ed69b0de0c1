"""The messages of MCP over anything that carries JSON texts, as the official client wants them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse, jsonrpc_message_adapter

from xiaozhi.services.bridge import to_aio
from xiaozhi.services.mcp.listing import pack
from xiaozhi.services.pool import Workers

LONG: Final = 32_768
"""Characters of a message that is parsed in a thread."""

Incoming: TypeAlias = SessionMessage | Exception


class Broken(Exception):
    """A connection to a server is of no use any more; `str()` says why."""


class Texts(Protocol):
    """What carries JSON texts to a server and back. Both belong to asyncio."""

    async def read(self) -> str | None:
        """Give the next text; None at the end. Raises Broken."""

    async def write(self, text: str) -> None:
        """Send a text; at the end it is lost."""


class _Stream:
    """What streams of the official client can do beside their work."""

    async def aclose(self) -> None:
        """Do nothing: who opened the connection ends it."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class Reader(_Stream):
    """What a server says. When it says no more, `over` is told, with why."""

    def __init__(
        self, receive: Callable[[], Awaitable[Incoming | None]], over: Callable[[str], None]
    ) -> None:
        """Take what gives the next message, None at the end."""
        self._receive = receive
        self._over = over

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Incoming:
        try:
            message = await self._receive()
        except Broken as error:
            self._over(str(error))
            raise StopAsyncIteration from error
        if message is None:
            self._over("it closed the connection")
            raise StopAsyncIteration
        return message

    async def receive(self) -> Incoming:
        """Give the next message."""
        return await anext(self)


class Writer(_Stream):
    """What is said to a server."""

    def __init__(self, texts: Texts) -> None:
        """Send it by `texts`."""
        self._texts = texts

    async def send(self, message: SessionMessage, /) -> None:
        """Send a message."""
        await self._texts.write(message.message.model_dump_json(by_alias=True, exclude_unset=True))


def parsed(texts: Texts, pool: Workers) -> Callable[[], Awaitable[Incoming | None]]:
    """Make what gives the next message of `texts`; long ones are parsed in the `pool`."""

    async def receive() -> Incoming | None:
        text = await texts.read()
        if text is None:
            return None
        if len(text) < LONG:
            return parse(text)
        return await to_aio(pool.run(_parse_long, text))

    return receive


def _parse_long(text: str) -> Incoming:
    message = parse(text)
    if isinstance(message, SessionMessage) and isinstance(message.message, JSONRPCResponse):
        pack(message.message.result)
    return message


def parse(text: str) -> Incoming:
    """Read a message; what is none comes as an error."""
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(text, by_name=False))
    except ValueError as error:
        return error
