"""OTA: a device asks, at each start, where its server is and what time it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs
from twisted.web.http import Request
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource

from xiaozhi.identity import Identity, identify
from xiaozhi.languages import accepted, primary
from xiaozhi.services.activation import Enrolment, Papers
from xiaozhi.services.devices import Devices
from xiaozhi.services.store import Seen
from xiaozhi.services.web.activate import Activate
from xiaozhi.services.web.address import Address, Arrival
from xiaozhi.services.web.answering import Answer, answer
from xiaozhi.services.web.asking import (
    arrival,
    body,
    headers,
    let_pages_ask,
    part,
    preflight,
    query,
    text,
)
from xiaozhi.services.web.proxies import Origin, Proxies

# The firmware parses each part with an unguarded stoi, so nothing else may be echoed.
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,5}")


@attrs.define
class Offer:
    """What every device is told. It changes when the configuration is read again."""

    public: Address | None
    """The configured address of the server; None: the one each device has used."""
    framing: int
    """The binary framing to use."""
    now: Callable[[], datetime]
    """Gives the local time, with its offset."""
    proxies: Proxies = attrs.field(factory=Proxies)
    """Who is believed to tell the address that was really asked at."""
    language: str = "en"
    """Of the house, as a primary subtag, for users who show no other."""

    def address(self, arrival: Arrival) -> Address:
        """Tell where a device reaches the server, by a request of its own."""
        return arrival.asked_at(self.public, self.proxies)


class Ota(Resource):
    """Answer the OTA request of devices that will talk at `path`."""

    def __init__(self, path: str, offer: Offer, devices: Devices, enrolment: Enrolment) -> None:
        """Tell devices what is on `offer`, and note in `devices` what they tell."""
        super().__init__()
        self._path = path
        self._offer = offer
        self._devices = devices
        self._enrolment = enrolment
        self.putChild(b"activate", Activate(enrolment))

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Be the same with a slash at the end."""
        return notFound() if path else self

    def render_OPTIONS(self, request: Request) -> bytes:
        """Let pages of other origins ask."""
        return preflight(request)

    def render_GET(self, request: Request) -> bytes | int:
        """Tell people the address; a device (it names itself) gets what POST gives."""
        if identify(query(request), headers(request)).known:
            return self.render_POST(request)
        let_pages_ask(request)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return f"xiaozhi OTA\nWebSocket: {self._address(request).ws(self._path)}\n".encode()

    def render_POST(self, request: Request) -> int:
        """Tell a device all it needs."""
        let_pages_ask(request)
        return answer(request, self._configuration(request))

    async def _configuration(self, request: Request) -> Answer:
        told, heads = body(request), headers(request)
        identity = identify(query(request), heads)
        device = _seen(identity, told, heads, self._origin(request).peer)
        papers = Papers()
        if identity.known:
            self._devices.learn(device.id, device.language, device.firmware)
            papers = await self._enrolment.check_in(device)
        # The device's own version, which means: no update. Unknown ones are left out.
        firmware = {"version": device.firmware, "url": ""}
        websocket = {
            "url": self._address(request).ws(self._path),
            # Both are sticky in a device's memory, so they are always told.
            "token": papers.token,
            "version": self._offer.framing,
        }
        language = device.language or self._offer.language
        return Answer(
            self._time()
            | ({"firmware": firmware} if device.firmware else {})
            | {"websocket": websocket}
            # No key at all, where there is nothing to wait for: some clients look for that.
            | (
                {"activation": self._enrolment.describe(papers.activation, language)}
                if papers.activation
                else {}
            )
        )

    def _origin(self, request: Request) -> Origin:
        peer = getattr(request.getClientAddress(), "host", "")
        return self._offer.proxies.origin(peer, headers(request))

    def _address(self, request: Request) -> Address:
        return self._offer.address(arrival(request))

    def _time(self) -> dict[str, Any]:
        now = self._offer.now()
        offset = (now.utcoffset() or timedelta()) // timedelta(minutes=1)
        return {
            "server_time": {"timestamp": int(now.timestamp() * 1000), "timezone_offset": offset}
        }


def _seen(
    identity: Identity, told: Mapping[str, Any], heads: Mapping[str, str], address: str
) -> Seen:
    """Read what a device tells of itself.

    A body may be invalid JSON (an SSID with a quote in it); the header "<board>/<version>" is not.
    """
    agent, _, version = heads.get("user-agent", "").rpartition("/")
    board = part(told, "board")
    version = text(part(told, "application"), "version") or version
    return Seen(
        id=identity.device,
        client_id=identity.client,
        board=text(board, "type") or text(board, "name") or agent,
        firmware=version if _VERSION.fullmatch(version) else "",
        language=primary(text(told, "language")) or accepted(heads.get("accept-language", "")),
        address=address,
    )
