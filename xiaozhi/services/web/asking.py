"""What a device says when it asks something over HTTP: bodies may be broken, headers are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.web.http import Request

from xiaozhi.services.web.address import Arrival

_CORS = (
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
    (
        b"Access-Control-Allow-Headers",
        b"Content-Type, Authorization, Device-Id, Client-Id, Activation-Version, Serial-Number",
    ),
    (b"Access-Control-Max-Age", b"86400"),
)


def body(request: Request) -> Mapping[str, Any]:
    """Read the JSON object in the body; an empty one if there is none."""
    try:
        told = msgspec.json.decode(request.content.read() if request.content else b"")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return told if isinstance(told, dict) else {}


def headers(request: Request) -> dict[str, str]:
    """Read the headers, their names in lower case; one that is there twice is one list (RFC 9110).

    So a proxy that adds a line of its own is heard, not only the client's line before it.
    """
    return {
        name.decode("latin-1").lower(): b",".join(values).decode("utf-8", "replace")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def arrival(request: Request) -> Arrival:
    """Tell how a request has come."""
    peer, local = request.getClientAddress(), request.getHost()
    return Arrival(
        getattr(peer, "host", ""),
        headers(request),
        local.host,
        local.port,
        bool(request.isSecure()),
    )


def query(request: Request) -> dict[str, list[str]]:
    """Read the query."""
    return {
        name.decode("utf-8", "replace"): [value.decode("utf-8", "replace") for value in values]
        for name, values in (request.args or {}).items()
    }


def part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Give an object within an object; an empty one if there is none."""
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def text(told: Mapping[str, Any], name: str) -> str:
    """Give a text within an object; "" if there is none."""
    value = told.get(name)
    return value if isinstance(value, str) else ""


def let_pages_ask(request: Request) -> None:
    """Let pages of other origins ask as devices do."""
    for name, value in _CORS:
        request.setHeader(name, value)


def preflight(request: Request) -> bytes:
    """Answer OPTIONS."""
    let_pages_ask(request)
    request.setResponseCode(204)
    return b""
