"""The pages and sockets of the server, all on one port."""

from __future__ import annotations

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.web.http import Request
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from xiaozhi.services.devices import Devices
from xiaozhi.services.draining import Draining
from xiaozhi.services.web.ota import Offer, Ota

BRANDS = ("xiaozhi", "supie")
"""First parts of the paths: stock devices use the one, badges the other."""


class DeviceSocket(Resource):
    """Where devices open their WebSocket; anybody else learns that the server runs."""

    isLeaf = True

    def __init__(self, factory: WebSocketServerFactory, draining: Draining) -> None:
        """Hand upgraded connections to `factory`, unless the server is about to stop."""
        super().__init__()
        self._draining = draining
        self._socket = WebSocketResource(factory)

    def render(self, request: Request) -> bytes | int:
        """Upgrade, or answer a plain request."""
        if (request.getHeader(b"upgrade") or b"").lower() == b"websocket":
            if self._draining.on:
                request.setResponseCode(503)
                return b"The server is stopping"
            answer: bytes | int = self._socket.render(request)
            return answer
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"Server is running"


def site(
    factory: WebSocketServerFactory, offer: Offer, devices: Devices, draining: Draining
) -> Site:
    """Lay out the paths. `factory` serves devices until `draining`; see `Ota` for the rest."""
    root = _Branch()
    root.putChild(b"", _Front())
    for brand in BRANDS:
        branch = _Branch()
        root.putChild(brand.encode(), branch)
        branch.putChild(b"v1", DeviceSocket(factory, draining))
        branch.putChild(b"ota", Ota(f"/{brand}/v1/", offer, devices))
    return Site(root, timeout=60)


class _Branch(Resource):
    """A place with paths below it."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


class _Front(Resource):
    """The front door: says what this is."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"xiaozhi: OTA /xiaozhi/ota/, WebSocket /xiaozhi/v1/\n"
