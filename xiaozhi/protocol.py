"""The Autobahn side of a session: handshake, and bytes turned into messages.

Autobahn swallows what its hooks raise, so `onMessage` is one of the boundaries where
any exception is caught: it is logged and ends this one connection (1011).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xiaozhi import wire
from xiaozhi.errors import BadMessage
from xiaozhi.identity import Identity, identify
from xiaozhi.limits import host_of
from xiaozhi.link import Link
from xiaozhi.visit import Visit

if TYPE_CHECKING:
    from xiaozhi.factory import DeviceFactory

PATIENCE = 30.0
"""Seconds a device may take to say hello."""

_ENOUGH = 10
"""So many malformed messages in a row end a connection."""

_RETRY = ("Retry-After", "10")
"""Tells who is refused for lack of room when to try again, in seconds."""

_REFUSALS = {
    "full": "maximum number of connections reached",
    "address": "too many connections from this address",
}


class DeviceProtocol(WebSocketServerProtocol):
    """One device's WebSocket."""

    factory: DeviceFactory
    transport: Any
    logger = Logger()  # Autobahn owns the name `log`

    def __init__(self) -> None:
        super().__init__()
        self.visit: Visit | None = None
        self._address = ""
        """Where the device is, once it was let in."""
        self._identity: Identity | None = None
        self._version = 1
        self._malformed = 0
        self._complained = False
        self._strangled: IDelayedCall | None = None

    # -- what Autobahn calls --

    def onConnect(self, request: Any) -> None:
        """Read who is calling; the handshake is answered when this returns."""
        self._enter(host_of(str(self.peer)))
        self._identity = identify(request.params, request.headers)
        self._version = _framing(request.headers.get("protocol-version", ""))
        if not self.factory.answers_pings(self._identity):
            self.autoPingInterval = 0

    def onOpen(self) -> None:
        """The handshake is done: the device may speak."""
        assert self._identity is not None, "Autobahn opens only after onConnect"
        link = Link(self, secrets.token_hex(6), self.factory.clock)
        link.version = self._version
        # HTTP was this transport's producer until now; who writes must know of slow readers.
        self.transport.unregisterProducer()
        self.transport.registerProducer(link, True)
        self.visit = self.factory.admit(link, self._identity)
        self.factory.counters.count("connections_opened")
        self._strangled = self.factory.clock.callLater(
            PATIENCE, self.say_goodbye, 1002, "no hello came"
        )
        self.logger.info(
            "{session}: {device} connected from {peer} (id from {source}, framing {version})",
            session=link.session_id,
            device=self._identity.device,
            peer=self.peer,
            source=self._identity.source,
            version=self._version,
        )

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Take one frame of the device's."""
        if self.visit is None or not self.can_send():
            return  # Autobahn still delivers what comes after our goodbye
        if not self.visit.affords():
            self.say_goodbye(1008, "too many messages")
            return
        try:
            self._take(payload, isBinary, self.visit)
        except BadMessage as error:
            self._refuse(str(error), self.visit)
        except Exception:
            self.logger.failure("{session}: our fault", session=self.visit.session.link.session_id)
            self.say_goodbye(1011, "internal error")

    def onPing(self, payload: bytes) -> None:
        """Answer a ping; it counts as a message."""
        if self.visit is None or self.visit.affords():
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

    def failHandshake(
        self, reason: str, code: int = 400, responseHeaders: Iterable[tuple[str, str]] | None = None
    ) -> None:
        """Refuse a connection."""
        headers = [*(responseHeaders or ()), *([_RETRY] if code == 503 else [])]
        super().failHandshake(reason, code, headers)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone, whoever ended it; a device just drops it (1006)."""
        self._hello_came()
        if self._address:
            self.factory.crowd.leave(self._address)
            self._address = ""
        ours: int | None = self.localCloseCode if self.closedByMe else None
        if ours is not None:
            self.factory.counters.count("connections_ended", code=str(ours))
        if self.visit is not None:
            session = self.visit.session
            self.visit.close()
            self.logger.info(
                "{session}: {how}, {account}",
                session=session.link.session_id,
                how=_ending(ours, code),
                account=self.visit.account(),
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

    def _enter(self, address: str) -> None:
        """Take a place among the connections there may be."""
        if (refusal := self.factory.crowd.enter(address)) is not None:
            self.factory.counters.count("connections_refused", reason=refusal)
            self.logger.warn("{peer} refused: {why}", peer=self.peer, why=_REFUSALS[refusal])
            raise ConnectionDeny(503, _REFUSALS[refusal])
        self._address = address

    def _take(self, payload: bytes, binary: bool, visit: Visit) -> None:
        if binary:
            message = wire.decode_binary(payload, visit.session.link.version)
        else:
            message = wire.decode_text(payload)
        self._malformed = 0
        if isinstance(message, wire.Hello):
            self._welcome(message, visit)
        elif self._strangled is None:
            visit.receive(message)  # what comes before the hello is not for us

    def _welcome(self, hello: wire.Hello, visit: Visit) -> None:
        """Answer the first hello; a second answer would poison the firmware's next talk."""
        if self._strangled is None:
            return
        self._hello_came()
        link = visit.session.link
        if hello.version is not None:
            link.version = _framing(str(hello.version))
        link.send(wire.Welcome.declaring(1, self.factory.downlink))
        visit.arrive(hello, self._address)

    def _hello_came(self) -> None:
        if self._strangled is not None and self._strangled.active():
            self._strangled.cancel()
        self._strangled = None

    def _refuse(self, why: str, visit: Visit) -> None:
        """Note a malformed message, once; many in a row are no accident."""
        self._malformed += 1
        self.factory.counters.count("messages_malformed")
        if not self._complained:
            self._complained = True
            self.logger.info(
                "{session}: malformed message ignored: {why}",
                session=visit.session.link.session_id,
                why=why[:200],
            )
        if self._malformed >= _ENOUGH:
            self.say_goodbye(1002, "too many malformed messages")


def _ending(ours: int | None, theirs: int | None) -> str:
    """Say who ended a connection, by the codes of their close frames."""
    if ours is not None:
        return f"we closed ({ours})"
    return "the device hung up" if theirs in (None, 1006) else f"the device closed ({theirs})"


def _framing(version: str) -> int:
    """Take the framing a device declares: 2 or 3, and 1 for all else."""
    return {"2": 2, "3": 3}.get(version.strip(), 1)
