"""The pages and sockets of the server, all on one port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.web.http import Request, combinedLogFormatter
from twisted.web.iweb import IAccessLogFormatter, IRequest
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from zope.interface import provider

from xiaozhi.services.activation import Enrolment
from xiaozhi.services.auth.credential import masked
from xiaozhi.services.devices import Devices
from xiaozhi.services.web.bounded import Allowance, BoundedSite, Limit
from xiaozhi.services.web.ota import Offer, Ota

BRANDS = ("xiaozhi", "supie")
"""First parts of the paths: stock devices use the one, badges the other."""


class DeviceSocket(Resource):
    """Where devices open their WebSocket; anybody else learns that the server runs."""

    isLeaf = True

    def __init__(self, factory: WebSocketServerFactory) -> None:
        """Hand upgraded connections to `factory`."""
        super().__init__()
        self._socket = WebSocketResource(factory)

    def render(self, request: Request) -> bytes | int:
        """Upgrade, or answer a plain request."""
        if (request.getHeader(b"upgrade") or b"").lower() == b"websocket":
            answer: bytes | int = self._socket.render(request)
            return answer
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"Server is running"


def site(
    factory: WebSocketServerFactory,
    offer: Offer,
    devices: Devices,
    enrolment: Enrolment,
    pages: Mapping[str, Resource] = MappingProxyType({}),
    most: int = 1000,
    refused: Callable[[Limit], object] = lambda limit: None,
    uploads: Mapping[str, Allowance] = MappingProxyType({}),
) -> Site:
    """Lay out the paths. `factory` serves devices; see `Ota`, too.

    `pages` are below the root, by their paths; at those of `uploads` more may be sent than
    elsewhere. At most `most` connections may ask for pages at one time; `refused` hears of each
    further one, and of those that are too slow or too large.
    """
    root = _Branch()
    root.putChild(b"", _Front())
    for path, page in pages.items():
        *above, name = path.encode().split(b"/")
        place: Resource = root
        for step in above:
            if step not in place.listStaticNames():
                place.putChild(step, _Branch())
            place = place.children[step]
        place.putChild(name, page)
    for brand in BRANDS:
        branch = _Branch()
        root.putChild(brand.encode(), branch)
        branch.putChild(b"v1", DeviceSocket(factory))
        branch.putChild(b"ota", Ota(f"/{brand}/v1/", offer, devices, enrolment))
    return BoundedSite(root, most, refused, uploads, timeout=60, logFormatter=_access)


@provider(IAccessLogFormatter)
def _access(timestamp: str, request: IRequest) -> str:
    """Write the usual line about a request, without the tokens in its addresses."""
    return masked(combinedLogFormatter(timestamp, request), 2000)


class _Branch(Resource):
    """A place with paths below it, and nothing at it."""

    def render(self, request: Request) -> bytes | int:
        nothing: bytes | int = notFound().render(request)
        return nothing

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()


class _Front(Resource):
    """The front door: says what this is."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"xiaozhi: OTA /xiaozhi/ota/, WebSocket /xiaozhi/v1/\n"
