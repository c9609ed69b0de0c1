"""The Autobahn side of a session: handshake, and bytes turned into messages.

Autobahn swallows what its hooks raise, so `onMessage` is one of the two boundaries where
any exception is caught: it is logged and ends this one connection (1011).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xiaozhi import wire
from xiaozhi.errors import BadMessage
from xiaozhi.identity import Identity, identify
from xiaozhi.link import Link
from xiaozhi.session import Session

if TYPE_CHECKING:
    from xiaozhi.factory import DeviceFactory

PATIENCE = 30.0
"""Seconds a device may take to say hello."""

_ENOUGH = 10
"""So many malformed messages in a row end a connection."""


class DeviceProtocol(WebSocketServerProtocol):
    """One device's WebSocket."""

    factory: DeviceFactory
    transport: Any
    logger = Logger()  # Autobahn owns the name `log`

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None
        self._identity: Identity | None = None
        self._version = 1
        self._malformed = 0
        self._complained = False
        self._strangled: IDelayedCall | None = None

    # -- what Autobahn calls --

    def onConnect(self, request: Any) -> None:
        """Read who is calling; the handshake is answered when this returns."""
        self._identity = identify(request.params, request.headers)
        self._version = _framing(request.headers.get("protocol-version", ""))

    def onOpen(self) -> None:
        """The handshake is done: the device may speak."""
        assert self._identity is not None, "Autobahn opens only after onConnect"
        link = Link(self, secrets.token_hex(6), self.factory.clock)
        link.version = self._version
        # HTTP was this transport's producer until now; who writes must know of slow readers.
        self.transport.unregisterProducer()
        self.transport.registerProducer(link, True)
        self.session = self.factory.admit(link, self._identity)
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
        if self.session is None or not self.can_send():
            return  # Autobahn still delivers what comes after our goodbye
        try:
            self._take(payload, isBinary)
        except BadMessage as error:
            self._refuse(str(error))
        except Exception:
            self.logger.failure("{session}: our fault", session=self.session.link.session_id)
            self.say_goodbye(1011, "internal error")

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """The connection is gone, whoever ended it; a device just drops it (1006)."""
        self._hello_came()
        if self.session is not None:
            self.logger.info(
                "{session}: {how}, {account}",
                session=self.session.link.session_id,
                how="the device hung up" if code == 1006 else f"closed ({code})",
                account=self.session.account(),
            )
            self.session.close()
            self.factory.forget(self.session)
            self.session = None

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
            if self.session is not None:
                self.session.close()

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abortConnection()

    # -- our own --

    def _take(self, payload: bytes, binary: bool) -> None:
        assert self.session is not None, "onMessage has looked"
        if binary:
            message = wire.decode_binary(payload, self.session.link.version)
        else:
            message = wire.decode_text(payload)
        self._malformed = 0
        if isinstance(message, wire.Hello):
            self._welcome(message, self.session)
        elif self._strangled is None:
            self.session.receive(message)  # what comes before the hello is not for us

    def _welcome(self, hello: wire.Hello, session: Session) -> None:
        """Answer the first hello; a second answer would poison the firmware's next talk."""
        if self._strangled is None:
            return
        self._hello_came()
        if hello.version is not None:
            session.link.version = _framing(str(hello.version))
        session.link.send(wire.Welcome.declaring(1, session.downlink))

    def _hello_came(self) -> None:
        if self._strangled is not None and self._strangled.active():
            self._strangled.cancel()
        self._strangled = None

    def _refuse(self, why: str) -> None:
        """Note a malformed message, once; many in a row are no accident."""
        assert self.session is not None, "onMessage has looked"
        self._malformed += 1
        if not self._complained:
            self._complained = True
            self.logger.info(
                "{session}: malformed message ignored: {why}",
                session=self.session.link.session_id,
                why=why[:200],
            )
        if self._malformed >= _ENOUGH:
            self.say_goodbye(1002, "too many malformed messages")


def _framing(version: str) -> int:
    """Take the framing a device declares: 2 or 3, and 1 for all else."""
    return {"2": 2, "3": 3}.get(version.strip(), 1)
