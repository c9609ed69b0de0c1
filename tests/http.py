"""HTTP in memory: a request's bytes into a site, its answer out."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.server import Site


class Reply(NamedTuple):
    """What a site answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


def ask(
    site: Site,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    port: int = 8000,
) -> Reply:
    """Send one request to `site`, as it came to 192.168.1.5 at `port`."""
    peer = IPv4Address("TCP", "192.168.1.9", 40000)
    protocol = site.buildProtocol(peer)
    assert protocol is not None
    transport = StringTransport(IPv4Address("TCP", "192.168.1.5", port), peer)
    protocol.callLater = Clock().callLater
    protocol.makeConnection(transport)
    fields = {"Host": f"192.168.1.5:{port}"} | (headers or {})
    if body:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    protocol.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)
    head, _, rest = transport.value().partition(b"\r\n\r\n")
    status, *answered = head.decode().split("\r\n")
    found = {name.lower(): text for name, _, text in (line.partition(": ") for line in answered)}
    protocol.connectionLost(None)
    return Reply(int(status.split()[1]), found, rest)
