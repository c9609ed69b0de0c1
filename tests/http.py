"""HTTP in memory: a request's bytes into a site, its answer out."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.server import Site


class Reply(NamedTuple):
    """What a site answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


class _Transport(StringTransport):
    """Tells when the server hangs up."""

    def __init__(self, *ends: IPv4Address) -> None:
        super().__init__(*ends)
        self.ended: Deferred[None] = Deferred()

    def loseConnection(self) -> None:
        super().loseConnection()
        if not self.ended.called:
            self.ended.callback(None)

    def reply(self) -> Reply | None:
        """Read the answer; None while it has not come."""
        head, found, body = self.value().partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
        if not found or len(body) < int(headers.get("content-length", 0)):
            return None
        return Reply(int(status.split()[1]), headers, body)


def send(
    site: Site, method: str, path: str, headers: dict[str, str] | None, body: bytes, port: int
) -> tuple[Any, _Transport]:
    """Send one request to `site`; give the connection, and what the site writes to it."""
    peer = IPv4Address("TCP", "192.168.1.9", 40000)
    protocol: Any = site.buildProtocol(peer)
    transport = _Transport(IPv4Address("TCP", "192.168.1.5", port), peer)
    protocol.callLater = Clock().callLater
    protocol.makeConnection(transport)
    fields = {"Host": f"192.168.1.5:{port}"} | (headers or {})
    if body and "Transfer-Encoding" not in fields:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    protocol.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)
    return protocol, transport


def ask(
    site: Site,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    port: int = 8000,
) -> Reply:
    """Send one request to `site`, as it came to 192.168.1.5 at `port`; it is answered at once."""
    protocol, transport = send(site, method, path, headers, body, port)
    reply = transport.reply()
    assert reply is not None, "no answer came"
    protocol.connectionLost(None)
    return reply


async def asked(
    site: Site, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> Reply:
    """Send one request to `site`, and wait for the answer."""
    closing = {"Connection": "close"} | (headers or {})
    protocol, transport = send(site, method, path, closing, body, 8000)
    await transport.ended
    protocol.connectionLost(Failure(ConnectionDone()))
    reply = transport.reply()
    assert reply is not None, "no answer came"
    return reply
