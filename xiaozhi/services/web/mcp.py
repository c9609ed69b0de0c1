"""The MCP endpoint, `/mcp/?token=`: where MCP servers come to us, to serve devices of ours."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource

from xiaozhi.errors import Refused, ServiceError
from xiaozhi.identity import Identity
from xiaozhi.limits import Crowd
from xiaozhi.services.auth.caller import Caller, Label
from xiaozhi.services.auth.credential import credential
from xiaozhi.services.auth.refusals import Refusals
from xiaozhi.services.counters import Counters
from xiaozhi.services.mcp import Servers
from xiaozhi.services.mcp.guest import Guest
from xiaozhi.services.store import Store, TokenRecord, audience
from xiaozhi.services.web.proxies import Origin, Proxies

LARGEST: Final = 4 * 2**20
"""Bytes of a message of a server's."""

_EARLY: Final = 65_536
"""Bytes that may come before the handshake is answered."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_WHO: Final = Identity("an MCP server", "", "query")


class GuestProtocol(WebSocketServerProtocol):
    """One server's WebSocket."""

    factory: GuestFactory
    transport: Any
    logger = Logger()  # Autobahn owns the name `log`

    def __init__(self) -> None:
        super().__init__()
        self._token: TokenRecord | None = None
        self._guest: Guest | None = None
        self._peer = ""
        self._address = ""
        """Where it is, once it has a place among the connections."""
        self._asked: Deferred[TokenRecord | None] | None = None

    def onConnect(self, request: Any) -> Any:
        """Look the token up; the handshake is answered when that is done."""
        if self._peer:  # a second request, while the first is being looked up
            raise ConnectionDeny(400, "Bad Request")
        house = self.factory.house
        self._peer = house.origin(self.transport, request.headers).peer
        shown = request.params.get("token", [""])[0] or credential({}, request.headers) or ""
        if not _TOKEN.fullmatch(shown):
            raise self._turned_away("no_token" if not shown else "bad_token")
        self._enter(self._peer)
        answer: Deferred[None] = Deferred()
        self._asked = house.store.find_token("mcp", shown)
        self._asked.addCallbacks(
            self._found, self._unknown, callbackArgs=(answer,), errbackArgs=(answer,)
        )
        return answer

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; not without end, from who is not let in yet."""
        if self._token is None and len(self.data) + len(data) > _EARLY:
            self.transport.abortConnection()
        else:
            super().dataReceived(data)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """Refuse a handshake, without the two lines Autobahn would write."""
        if code == 400:
            self.factory.house.counters.count("connections_refused", reason="malformed")
        self.sendHttpErrorResponse(code, reason, responseHeaders or [])
        self.wasClean = True
        self.dropConnection(abort=False)

    def onOpen(self) -> None:
        """Have it serve whom its token says."""
        assert self._token is not None, "Autobahn opens only after onConnect"
        guest, token = Guest(self._write, self._hang_up), self._token
        try:
            self.factory.house.servers.welcome(guest, token.id, audience(token.subject))
        except Refused as error:
            self.sendCloseFrame(code=1013, reasonUtf8=error.why.encode(), isReply=False)
            return
        self._guest = guest
        self.factory.house.counters.count("connections_opened")
        self.logger.info(
            "an MCP server has connected from {peer} (token {token_id}, {label})",
            peer=self._peer,
            token_id=token.id,
            label=token.label or "no label",
        )

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand on what it says."""
        if self._guest is not None and not self._guest.feed(payload.decode("utf-8", "replace")):
            self.sendCloseFrame(code=1008, reasonUtf8=b"too many messages", isReply=False)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone."""
        if self._asked is not None:
            self._asked.cancel()
        if self._address:
            self.factory.house.crowd.leave(self._address)
            self._address = ""
        if self._guest is not None:
            self._guest.gone()
            self._guest = None

    # -- what `Guest` needs --

    def _write(self, text: str) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(text.encode())

    def _hang_up(self, why: str) -> None:
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=1001, reasonUtf8=why.encode(), isReply=False)

    # -- our own --

    def _found(self, token: TokenRecord | None, answer: Deferred[None]) -> None:
        """Answer the handshake, if somebody still waits for that."""
        self._asked = None
        if self.state != self.STATE_CONNECTING:
            return
        if token is None:
            answer.errback(self._turned_away("bad_token"))
        elif self.factory.house.crowd.closed:  # since it was asked
            answer.errback(ConnectionDeny(503, "the server is stopping"))
        else:
            self._token = token
            answer.callback(None)

    def _unknown(self, failure: Failure, answer: Deferred[None]) -> None:
        """Let nobody in: the store cannot be asked, or the server has hung up."""
        self._asked = None
        if not failure.check(CancelledError):
            failure.trap(ServiceError)
            answer.errback(ConnectionDeny(503, "try again later"))

    def _enter(self, address: str) -> None:
        """Take a place among the connections there may be."""
        house = self.factory.house
        if (reason := house.crowd.enter(address)) is not None:
            house.counters.count("connections_refused", reason=reason)
            raise ConnectionDeny(503, "no room")
        self._address = address

    def _turned_away(self, label: Label) -> ConnectionDeny:
        """Count and tell who is refused."""
        house = self.factory.house
        house.counters.count("connections_refused", reason=label)
        why = "it shows no token" if label == "no_token" else "nobody knows its token"
        house.refusals.note(Caller(_WHO, self._peer), why)
        return ConnectionDeny(401, "Unauthorized")


@attrs.frozen
class Endpoint:
    """What the endpoint uses of the house."""

    servers: Servers
    store: Store
    crowd: Crowd
    counters: Counters
    refusals: Refusals
    proxies: Any
    """Tells the `Proxies` there are."""

    def origin(self, transport: Any, headers: dict[str, str]) -> Origin:
        """Tell who asks."""
        proxies: Proxies = self.proxies()
        return proxies.origin(getattr(transport.getPeer(), "host", ""), headers)


class GuestFactory(WebSocketServerFactory):
    """Makes a protocol for each server that comes."""

    protocol: Any = GuestProtocol

    def __init__(self, house: Endpoint) -> None:
        """Let them in to the `house`."""
        super().__init__()
        self.house = house
        self.setProtocolOptions(
            maxMessagePayloadSize=LARGEST,
            maxFramePayloadSize=LARGEST,
            failByDrop=False,
            openHandshakeTimeout=10,
            closeHandshakeTimeout=1,
            autoPingInterval=20,
            autoPingTimeout=50,
            tcpNoDelay=True,
        )


class McpPages(Resource):
    """What is below /mcp: the endpoint itself, and what others put there."""

    def __init__(self, house: Endpoint) -> None:
        """Open the endpoint."""
        super().__init__()
        factory = GuestFactory(house)
        factory.startFactory()
        self._socket = WebSocketResource(factory)
        self.putChild(b"", _Here(self._socket))

    def getChild(self, path: bytes, request: Request) -> IResource:
        """There is nothing else."""
        return notFound()

    def render(self, request: Request) -> Any:
        """Answer for the path without a slash at its end."""
        return _Here(self._socket).render(request)


class _Here(Resource):
    """The endpoint; who does not ask for a WebSocket learns what it is."""

    isLeaf = True

    def __init__(self, socket: WebSocketResource) -> None:
        super().__init__()
        self._socket = socket

    def render(self, request: Request) -> Any:
        if (request.getHeader(b"upgrade") or b"").lower() == b"websocket":
            return self._socket.render(request)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"MCP servers connect here, by WebSocket\n"
