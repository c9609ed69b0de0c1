"""An HTTP server on loopback for tests: a resource on a port, and all of it gone at the end."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site


class Folder(Resource):
    """Has the resources put into it, and nothing else."""

    def __init__(self, **children: Resource) -> None:
        super().__init__()
        for name, child in children.items():
            self.putChild(name.encode(), child)

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


class _Counting(WrappingFactory):
    """Knows the open connections, how many there were, and when the last has gone."""

    noisy = False

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.emptied: Deferred[None] | None = None
        self.made = 0

    def registerProtocol(self, p: ProtocolWrapper) -> None:
        super().registerProtocol(p)
        self.made += 1

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        super().unregisterProtocol(p)
        if not self.protocols and self.emptied is not None:
            emptied, self.emptied = self.emptied, None
            emptied.callback(None)


class Loopback:
    """Serves a resource on a free port of 127.0.0.1."""

    def __init__(self, root: Resource, port: int = 0) -> None:
        site = Site(root)
        site.noisy = False
        self._factory = _Counting(site)
        core: Any = reactor
        self._port: IListeningPort = core.listenTCP(port, self._factory, interface="127.0.0.1")

    @property
    def port(self) -> int:
        """The number of the port."""
        address = self._port.getHost()
        assert isinstance(address, IPv4Address)
        return address.port

    @property
    def connections(self) -> int:
        """How many connections were made to it."""
        return self._factory.made

    async def stop(self) -> None:
        """Close the port and every connection, and wait until they are closed."""
        await maybeDeferred(self._port.stopListening)
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close every connection, and wait until they are closed."""
        for protocol in list(self._factory.protocols):
            protocol.transport.abortConnection()
        await self.deserted()

    async def deserted(self) -> None:
        """Wait until no connection is open."""
        if self._factory.protocols:
            emptied = self._factory.emptied = Deferred()
            await emptied
