"""Listen on one port at several addresses, and fail loudly if that cannot be done."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger

from xiaozhi.services.web.tls import Certificates

BACKLOG = 1024
"""Connections the kernel holds until they are accepted."""

_HINTS = {errno.EADDRINUSE: "; is the server running already?"}
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class Listening(Service):
    """Serve `factory` at `addresses`: bind while still privileged, accept once started."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        factory: IProtocolFactory,
        addresses: Sequence[str],
        port: int,
        certificates: Certificates | None = None,
    ) -> None:
        """Listen on `port` (0: any free one, the same at all addresses), by TLS if so secured."""
        self.port = port
        self._reactor = reactor
        self._certificates = certificates
        self._factory = factory if certificates is None else certificates.wrap(factory)
        self.addresses = addresses
        self._sockets: list[socket.socket] = []
        self._ports: list[IListeningPort] = []

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self._certificates is not None

    @property
    def accepting(self) -> bool:
        """Whether connections are accepted."""
        return bool(self._ports)

    def privilegedStartService(self) -> None:
        """Bind, if that was not done."""
        super().privilegedStartService()
        self.bind()

    def bind(self) -> None:
        """Take the port; raises OSError with a message fit for the operator."""
        if self._sockets:
            return
        for address in self.addresses:
            try:
                bound = _bind(address, self.port)
            except OSError as error:
                # A machine without IPv6 is an ordinary machine.
                if ":" in address and error.errno in _NO_IPV6 and self._sockets:
                    self.log.warn("no IPv6 here: not listening at {address}", address=address)
                    continue
                self._close_sockets()
                raise OSError(
                    f"cannot listen at {address} port {self.port}: {error.strerror}"
                    f"{_HINTS.get(error.errno or 0, '')} (server.ip, server.port)"
                ) from error
            self._sockets.append(bound)
            self.port = bound.getsockname()[1]

    def startService(self) -> None:
        """Accept connections."""
        self.bind()
        super().startService()
        for bound in self._sockets:
            self._ports.append(
                self._reactor.adoptStreamPort(bound.fileno(), bound.family, self._factory)
            )
        self._close_sockets()  # the reactor has its own copies
        if self._certificates is not None:
            self._certificates.warn()

    def stopService(self) -> Deferred[Any]:
        """Accept no more."""
        super().stopService()
        self._close_sockets()
        ports, self._ports = self._ports, []
        stopping = [port.stopListening() for port in ports]
        return DeferredList([d for d in stopping if isinstance(d, Deferred)])

    def _close_sockets(self) -> None:
        for bound in self._sockets:
            bound.close()
        self._sockets.clear()


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Or "::" would take the IPv4 port as well, and "0.0.0.0" find it taken.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
