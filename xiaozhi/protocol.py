"""The Autobahn side of a session: handshake, and bytes turned into messages.

Autobahn swallows what its hooks raise, so `onMessage` is one of the boundaries where
any exception is caught: it is logged and ends this one connection (1011).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import messages, wire
from xiaozhi.errors import BadMessage
from xiaozhi.identity import identify
from xiaozhi.link import Link
from xiaozhi.scope import about
from xiaozhi.services.auth.caller import Admitted, Caller, Verdict
from xiaozhi.services.auth.credential import masked
from xiaozhi.services.web.address import Arrival
from xiaozhi.visit import Visit

if TYPE_CHECKING:
    from xiaozhi.factory import DeviceFactory

PATIENCE = 30.0
"""Seconds a device may take to say hello."""

_EARLY = 65536
"""Bytes that may come before the handshake is answered."""

_ENOUGH = 10
"""So many malformed messages in a row end a connection."""

_RETRY = ("Retry-After", "10")
"""Tells who is refused for lack of room when to try again, in seconds."""

_REFUSALS = {
    "closed": "the server is stopping",
    "full": "maximum number of connections reached",
    "address": "too many connections from this address",
}


@attrs.frozen
class Approach:
    """How somebody comes to the door, as the request says."""

    caller: Caller
    arrival: Arrival
    framing: int


class DeviceProtocol(WebSocketServerProtocol):
    """One device's WebSocket."""

    CONFIG_ATTRS = []
    """What Autobahn would copy one by one, to write it out for a log: a tenth of a handshake."""

    factory: DeviceFactory
    transport: Any
    logger = Logger()  # Autobahn owns the name `log`

    def __init__(self) -> None:
        super().__init__()
        self.visit: Visit | None = None
        self._approach: Approach | None = None
        self._address = ""
        """Where the device is, once it has a place among the connections."""
        self._admission: Deferred[Verdict] | None = None
        self._how = ""
        self._malformed = 0
        self._complained = False
        self._strangled: IDelayedCall | None = None

    # -- what Autobahn calls --

    def connectionMade(self) -> None:
        """Begin, with the factory's options."""
        self.__dict__.update(self.factory.options)
        super().connectionMade()

    def onConnect(self, request: Any) -> Any:
        """Read who is calling; the handshake is answered when it is decided who may.

        That is the Deferred that is returned, of which Autobahn's annotations know nothing.
        """
        if self._approach is not None:
            # Autobahn reads on meanwhile, and would let this one in by the first one's right.
            self._give_up()
            raise ConnectionDeny(400, "Bad Request")
        headers = _decoded(request.headers)
        identity = identify(request.params, headers)
        gate = self.factory.gate
        arrival = _arrival(self.transport, headers)
        caller = gate.caller(identity, arrival.peer, request.params, headers)
        self._approach = Approach(caller, arrival, _framing(headers.get("protocol-version", "")))
        self._enter(caller)
        if not self.factory.answers_pings(identity):
            self.autoPingInterval = 0
        answer: Deferred[None] = Deferred()
        admission = self._admission = gate.admit(caller)
        admission.addCallbacks(
            self._decided, self._undecided, callbackArgs=(answer,), errbackArgs=(answer,)
        )
        return answer

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; not without end, from who is not let in yet."""
        if self._admission is not None and len(self.data) + len(data) > _EARLY:
            self._give_up()
            self.abort()
        else:
            super().dataReceived(data)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """Refuse a handshake. Autobahn would write two lines for each: see `Refusals`."""
        if code == 400:  # who refuses otherwise has counted it, by the reason
            self.factory.counters.count("connections_refused", reason="malformed")
        more = {401: [("WWW-Authenticate", "Bearer")], 503: [_RETRY]}.get(code, [])
        self.sendHttpErrorResponse(code, reason, [*(responseHeaders or ()), *more])
        self.wasClean = True
        self.dropConnection(abort=False)

    def onOpenHandshakeTimeout(self) -> None:
        """Refuse a handshake that has taken too long. Autobahn would only hang up, and warn."""
        self.openHandshakeTimeoutCall = None
        if self.state == self.STATE_CONNECTING:
            self.factory.counters.count("connections_refused", reason="slow_handshake")
            self._give_up()
            self.failHandshake("Request Timeout", 408)

    def onOpen(self) -> None:
        """The handshake is done: the device may speak."""
        approach, clock = self._approach, self.factory.clock
        assert approach is not None, "Autobahn opens only after onConnect"
        identity = approach.caller.identity
        link = Link(self, secrets.token_hex(6), clock, identity.device, self.factory.counters)
        link.version = approach.framing
        # HTTP was this transport's producer until now; who writes must know of slow readers.
        self.transport.unregisterProducer()
        self.transport.registerProducer(link, True)
        with about(link.scope):
            self.visit = self.factory.admit(link, identity, approach.arrival)
            self._strangled = clock.callLater(PATIENCE, self.say_goodbye, 1002, "no hello came")
            self._report(approach)
        self.factory.counters.count("connections_opened")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Take one frame of the device's."""
        if self.visit is None or not self.can_send():
            return  # Autobahn still delivers what comes after our goodbye
        if not self.visit.affords(len(payload)):
            self.say_goodbye(1008, "too many messages")
            return
        with about(self.visit.session.link.scope):
            try:
                self._take(payload, isBinary, self.visit)
            except BadMessage as error:
                self._refuse(str(error))
            except Exception:
                self.logger.failure("our fault")
                self.say_goodbye(1011, "internal error")

    def onPing(self, payload: bytes) -> None:
        """Answer a ping; it counts as a message."""
        if self.visit is None or self.visit.affords(len(payload)):
            super().onPing(payload)
        else:
            self.say_goodbye(1008, "too many messages")

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Say goodbye, or answer it; all ends first, so that who is told can rely on it."""
        if self.visit is not None:
            self.visit.close()
        super().sendCloseFrame(code, reasonUtf8, isReply)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone, whoever ended it; a device just drops it (1006)."""
        self._give_up()
        self._hello_came()
        if self._address:
            self.factory.crowd.leave(self._address)
            self._address = ""
        ours: int | None = self.localCloseCode if self.closedByMe else None
        if ours is not None:
            self.factory.counters.count("connections_ended", code=str(ours))
        if self.visit is None:
            return
        session = self.visit.session
        with about(session.link.scope):
            self.visit.close()
            self.logger.info(
                "{how}, {account}", how=_ending(ours, code), account=self.visit.account()
            )
        self.factory.forget(session)
        self.visit = None

    # -- what `Link` needs --

    def can_send(self) -> bool:
        """Say whether frames can be sent."""
        return bool(self.state == self.STATE_OPEN)

    def write(self, payload: bytes, binary: bool) -> None:
        """Send one frame."""
        self.sendMessage(payload, binary)

    def say_goodbye(self, code: int, reason: str) -> None:
        """Begin the closing handshake, with any code of RFC 6455 7.4.1."""
        if self.can_send():  # Autobahn's own sendClose refuses the codes that say what is wrong
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abortConnection()

    # -- our own --

    def _decided(self, verdict: Verdict, answer: Deferred[None]) -> None:
        """Answer the handshake, if somebody still waits for that."""
        self._admission = None
        if self.state != self.STATE_CONNECTING:
            return
        if not isinstance(verdict, Admitted):
            answer.errback(ConnectionDeny(401, "Unauthorized"))
        elif self.factory.crowd.closed:  # since it was asked
            assert self._approach is not None, "it was asked about"
            answer.errback(self._no_room(self._approach.caller, "closed"))
        else:
            self._how = verdict.how
            answer.callback(None)

    def _undecided(self, failure: Failure, answer: Deferred[None]) -> None:
        """Refuse: a fault of ours lets nobody in."""
        self._admission = None
        if not failure.check(CancelledError):  # then we have given up ourselves
            self.logger.failure("our fault, at the gate", failure)
            answer.errback(ConnectionDeny(500, "Internal Server Error"))

    def _give_up(self) -> None:
        """Do not wait for the decision any more."""
        if self._admission is not None:
            self._admission.cancel()

    def _report(self, approach: Approach) -> None:
        """Say who has connected, and how."""
        caller, identity = approach.caller, approach.caller.identity
        self.logger.info(
            "{device} connected from {peer} to {path} "
            "(id from {source}, let in by {how}, framing {version})",
            device=identity.device,
            peer=caller.peer,
            path=masked(self.http_request_uri),
            source=identity.source,
            how=self._how,
            version=approach.framing,
        )
        if not identity.known:
            self.logger.warn(
                "it names no device, so nothing is kept for it; its headers: {headers}",
                headers=" ".join(self.http_headers)[:256],
            )

    def _enter(self, caller: Caller) -> None:
        """Take a place among the connections there may be."""
        if (refusal := self.factory.crowd.enter(caller.peer)) is not None:
            raise self._no_room(caller, refusal)
        self._address = caller.peer

    def _no_room(self, caller: Caller, reason: str) -> ConnectionDeny:
        """Note that a connection is refused, not for what it is; give the answer."""
        self.factory.counters.count("connections_refused", reason=reason)
        self.factory.gate.turn_away(caller, _REFUSALS[reason])
        return ConnectionDeny(503, _REFUSALS[reason])

    def _take(self, payload: bytes, binary: bool, visit: Visit) -> None:
        if binary:
            self.factory.counters.count("frames_received")
            message = wire.decode_binary(payload, visit.session.link.version)
        else:
            message = wire.decode_text(payload)
        self._malformed = 0
        if isinstance(message, messages.Hello):
            self._welcome(message, visit)
        elif self._strangled is None:
            visit.receive(message)  # what comes before the hello is not for us

    def _welcome(self, hello: messages.Hello, visit: Visit) -> None:
        """Answer the first hello; a second answer would poison the firmware's next talk."""
        if self._strangled is None:
            return
        self._hello_came()
        link = visit.session.link
        if hello.version is not None:
            link.version = _framing(str(hello.version))
        link.send(messages.Welcome.declaring(1, visit.session.downlink))
        visit.arrive(hello, self._address)

    def _hello_came(self) -> None:
        if self._strangled is not None and self._strangled.active():
            self._strangled.cancel()
        self._strangled = None

    def _refuse(self, why: str) -> None:
        """Note a malformed message, once; many in a row are no accident."""
        self._malformed += 1
        self.factory.counters.count("messages_malformed")
        if not self._complained:
            self._complained = True
            self.logger.info("malformed message ignored: {why}", why=why[:200])
        if self._malformed >= _ENOUGH:
            self.say_goodbye(1002, "too many malformed messages")


def _arrival(transport: Any, headers: Mapping[str, str]) -> Arrival:
    """Tell how the request for a WebSocket has come."""
    local = transport.getHost()
    return Arrival(
        getattr(transport.getPeer(), "host", ""),
        headers,
        getattr(local, "host", ""),
        getattr(local, "port", 0),
        ISSLTransport.providedBy(transport),
    )


def _decoded(headers: Mapping[str, str]) -> dict[str, str]:
    """Read headers as the UTF-8 they may be, which OTA does too; Autobahn takes each byte."""
    return {
        name: text.encode("latin-1").decode("utf-8", "replace") for name, text in headers.items()
    }


def _ending(ours: int | None, theirs: int | None) -> str:
    """Say who ended a connection, by the codes of their close frames."""
    if ours is not None:
        return f"we closed ({ours})"
    return "the device hung up" if theirs in (None, 1006) else f"the device closed ({theirs})"


def _framing(version: str) -> int:
    """Take the framing a device declares: 2 or 3, and 1 for all else."""
    return {"2": 2, "3": 3}.get(version.strip(), 1)
