"""HTTP connections that are kept for the next request. Importing this takes a thread's time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from ssl import SSLContext
from typing import Any, Final

import httpx2

LIMITS: Final = httpx2.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=300.0
)
LARGEST: Final = 16 * 2**20
"""Bytes of one answer, at most: minutes of sound, or more text than anybody can hear."""
PIECE: Final = 65_536
"""Bytes of a request that are sent at once."""

_AGAIN: Final = 3
"""How many kept connections may die under one request."""
_BEGUN: Final = ("connect_tcp.started", "receive_response_headers.complete")
"""What is traced of a request that goes over a new connection, or is being answered."""


class Connections(httpx2.AsyncClient):
    """A client that keeps its connections, and whose answers have an end."""

    def __init__(self, **options: Any) -> None:
        """Take the `options` of httpx2's client."""
        hooks = {"response": [_bound]}
        super().__init__(limits=LIMITS, event_hooks=hooks, verify=_trusted(), **options)

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **options: Any
    ) -> httpx2.Response:
        """Send a request; again if its connection, a kept one, died before the answer began.

        httpx2 does not use a connection that it sees closed, but a server may close one at the
        moment the request leaves.
        """
        begun = False

        async def trace(name: str, info: dict[str, Any]) -> None:
            nonlocal begun
            begun = begun or name.endswith(_BEGUN)

        request.extensions = {**request.extensions, "trace": trace}
        if isinstance(request.stream, httpx2.ByteStream) and len(request.content) > PIECE:
            request.stream = _Pieces(request.content)
        for _ in range(_AGAIN):
            begun = False
            try:
                return await super().send(request, stream=stream, **options)
            except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
                if begun:
                    raise
        return await super().send(request, stream=stream, **options)


@cache
def _trusted() -> SSLContext:
    """Read the certificates of the authorities, once: that takes 60 ms."""
    return httpx2.create_ssl_context()


class _Pieces(httpx2.AsyncByteStream):
    """A long body that is sent piece by piece, as often as it is asked for.

    Written at once it would be encrypted at once: nine milliseconds for a photo.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), PIECE):
            yield self._body[start : start + PIECE]


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of an answer, up to `LARGEST`."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for piece in self._stream:
            length += len(piece)
            if length > LARGEST:
                raise httpx2.ReadError("the answer has no end")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(response.stream)
