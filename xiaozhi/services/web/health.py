"""Whether the server is alive (`/healthz`), and whether it can serve now (`/readyz`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
from twisted.web.http import SERVICE_UNAVAILABLE, Request

from xiaozhi.services.web.guard import Guarded

Condition = Callable[[], str]
"""Tells what is in the way; "" if nothing is."""


class Alive(Guarded):
    """Answers as long as the reactor turns."""

    def render_GET(self, request: Request) -> bytes:
        """Say that all is well."""
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"ok\n"


class Ready(Guarded):
    """Answers 200 when devices can be served, else 503; with the reasons in JSON."""

    def __init__(self, networks: Iterable[str], conditions: Mapping[str, Condition]) -> None:
        """Look at the `conditions`, each by its name, for `networks`."""
        super().__init__(networks)
        self._conditions = conditions

    def render_GET(self, request: Request) -> bytes:
        """Tell what is in the way."""
        reasons = {name: why for name, look in self._conditions.items() if (why := look())}
        if reasons:
            request.setResponseCode(SERVICE_UNAVAILABLE)
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        return msgspec.json.encode({"ready": not reasons, "reasons": reasons}) + b"\n"
