"""A server on loopback that knows the tokens it has issued (RFC 7662), as Keycloak and others do.

Who asks must prove who it is; about what is no token of its own it says `active: false`, and
nothing more.
"""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote_plus

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tests.loopback import Folder, Loopback


class Question(NamedTuple):
    """What was asked."""

    token: str
    hint: str
    accept: str


class IntrospectionServer:
    """Tells about its `tokens` to a client that proves who it is."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        """The claims of those that are active."""
        self.client = (client_id, client_secret)
        self.instead: tuple[int, bytes] | None = None
        """A status and a body to answer with, whatever is asked."""
        self.silent = False
        """Whether it says nothing at all."""
        self.asked: list[Question] = []
        self.heard: Deferred[None] = Deferred()
        """Fires at the first question."""
        self._loopback = Loopback(Folder(introspect=_Introspect(self)))
        self.url = f"http://127.0.0.1:{self._loopback.port}/introspect"

    async def stop(self) -> None:
        await self._loopback.stop()


class _Introspect(Resource):
    isLeaf = True

    def __init__(self, server: IntrospectionServer) -> None:
        super().__init__()
        self._server = server

    def render_POST(self, request: Request) -> Any:
        server = self._server
        kind = request.getHeader("content-type")
        assert kind == "application/x-www-form-urlencoded", kind
        assert request.content is not None
        form = parse_qs(request.content.read().decode(), strict_parsing=True)
        (token,), (hint,) = form["token"], form["token_type_hint"]
        server.asked.append(Question(token, hint, request.getHeader("accept") or ""))
        if not server.heard.called:
            server.heard.callback(None)
        if server.silent:
            return NOT_DONE_YET
        request.setHeader("content-type", "application/json")
        if server.instead is not None:
            status, body = server.instead
            request.setResponseCode(status)
            return body
        if self._who(request) != server.client:
            request.setResponseCode(401)
            request.setHeader("www-authenticate", "Basic")
            return b'{"error":"invalid_client"}'
        claims = server.tokens.get(token)
        return json.dumps(
            {"active": False} if claims is None else {"active": True} | claims
        ).encode()

    @staticmethod
    def _who(request: Request) -> tuple[str, str]:
        scheme, _, text = (request.getHeader("authorization") or "").partition(" ")
        if scheme != "Basic":
            return "", ""
        name, _, secret = base64.b64decode(text).decode().partition(":")
        return unquote_plus(name), unquote_plus(secret)
