"""Connections that are kept: what is sent over them."""

from __future__ import annotations

import httpx2
from twisted.trial.unittest import TestCase

from xiaozhi.services.bridge import from_aio
from xiaozhi.services.connections import PIECE, Connections


class Wire(httpx2.AsyncBaseTransport):
    """Takes requests to pieces; the first time it breaks before it answers."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        self.sent.append([piece async for piece in request.stream])
        if len(self.sent) == 1:
            raise httpx2.WriteError("the connection was closed")
        return httpx2.Response(200, text=request.headers["content-length"])


class ConnectionsTests(TestCase):
    async def test_long_body(self) -> None:
        """What is long is sent in pieces, again if need be, as what it would be in one."""
        body = bytes(range(256)) * 1000
        wire = Wire()
        client = Connections(transport=wire)
        answer = await from_aio(client.post("http://there/", content=body))
        await from_aio(client.aclose())
        self.assertEqual(answer.text, str(len(body)))
        first, again = wire.sent
        self.assertEqual((b"".join(first), first), (body, again))
        self.assertEqual({len(piece) for piece in first[:-1]}, {PIECE})
