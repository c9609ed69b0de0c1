"""Pages for whoever runs the server: who may see them, by the address they come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from twisted.web.http import Request
from twisted.web.pages import forbidden
from twisted.web.resource import Resource

from xiaozhi.services.networks import Networks, parse
from xiaozhi.services.web.asking import headers
from xiaozhi.services.web.proxies import claims


class Guarded(Resource):
    """A page without pages below it, for some networks only."""

    isLeaf = True

    def __init__(self, networks: Iterable[str]) -> None:
        """Show it to `networks`, such as 10.0.0.0/8."""
        super().__init__()
        self._networks = Networks(networks)

    def open_to(self, networks: Iterable[str]) -> None:
        """Show it to other networks from now on."""
        self._networks = Networks(networks)

    def render(self, request: Request) -> Any:
        """Answer, or say that it is not for everybody."""
        if all(parse(address) in self._networks for address in _addresses(request)):
            return super().render(request)
        return forbidden("This page is not for your network (metrics.open_to).").render(request)


def _addresses(request: Request) -> Iterator[str]:
    """Yield whom a request comes from: the peer and, by its headers, whom it asks for.

    Nobody gains by inventing more of them, as every one must be allowed.
    """
    yield str(getattr(request.getClientAddress(), "host", ""))
    for header in request.requestHeaders.getRawHeaders(b"X-Forwarded-For") or ():
        for address in header.decode("latin-1").split(","):
            yield address.strip()
    yield from claims(headers(request))
