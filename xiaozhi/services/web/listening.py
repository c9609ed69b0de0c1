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

from xiaozhi.services.systemd import Handed

BACKLOG = 1024
"""Connections the kernel holds until they are accepted."""

_OURS = "kept-"
"""How the names begin under which our own sockets come back; the port as configured follows."""
_HINTS = {errno.EADDRINUSE: "; is the server running already?"}
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class Listening(Service):
    """Serve `factory` at `addresses`: bind while still privileged, accept once started.

    Sockets that are open already are taken instead of new ones: those a service manager made for
    us, whatever their address is, and those this server had before it began anew in the same
    process, if they are still wanted.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, factory: IProtocolFactory, addresses: Sequence[str], port: int
    ) -> None:
        """Listen on `port` (0: any free one, the same at all addresses)."""
        self.addresses = addresses
        self.port = port
        self.kept = False
        """Whether the port is to stay open when we stop, for who comes after us."""
        self._reactor = reactor
        self._factory = factory
        self._name = f"{_OURS}{port}"
        self._bound = False
        self._sockets: list[Handed] = []
        self._ports: list[IListeningPort] = []

    def adopt(self, given: list[Handed]) -> None:
        """Take those of the open sockets that are for us, out of the list."""
        made = [one for one in given if not one.name.startswith(_OURS)]
        for one in made or [one for one in given if one.name == self._name]:
            address, port = _place(one.socket)
            if made or address in self.addresses:
                given.remove(one)
                one.socket.setblocking(False)  # as it is, it may be anything
                self._sockets.append(one)
                self.port = port or self.port
        if made:
            self.addresses = [_place(one.socket)[0] for one in made]
            self._bound = True

    @property
    def sockets(self) -> Sequence[Handed]:
        """The sockets, for who comes after us."""
        return self._sockets

    def privilegedStartService(self) -> None:
        """Bind, if that was not done."""
        super().privilegedStartService()
        self.bind()

    def bind(self) -> None:
        """Take the port; raises OSError with a message fit for the operator."""
        if self._bound:
            return
        here = {_place(one.socket)[0] for one in self._sockets}
        for address in self.addresses:
            if address in here:
                continue
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
            self._sockets.append(Handed(self._name, bound))
            self.port = bound.getsockname()[1]
        self._bound = True

    def startService(self) -> None:
        """Accept connections."""
        self.bind()
        super().startService()
        for one in self._sockets:
            # The reactor makes a copy for itself.
            self._ports.append(
                self._reactor.adoptStreamPort(one.socket.fileno(), one.socket.family, self._factory)
            )

    def stopService(self) -> Deferred[Any]:
        """Accept no more. Who calls a port that is kept waits for who comes after us."""
        super().stopService()
        if not self.kept:
            self._close_sockets()
        ports, self._ports = self._ports, []
        stopping = [port.stopListening() for port in ports]
        return DeferredList([d for d in stopping if isinstance(d, Deferred)])

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.socket.close()
        self._sockets.clear()
        self._bound = False


def _place(bound: socket.socket) -> tuple[str, int]:
    """Tell the address and the port of a socket; a path has port 0."""
    name = bound.getsockname()
    return (str(name), 0) if bound.family == socket.AF_UNIX else (name[0], name[1])


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
