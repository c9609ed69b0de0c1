"""OTA: a device asks, at each start, where its server is and what time it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs
import msgspec
from twisted.web.http import Request
from twisted.web.resource import Resource

from xiaozhi.identity import identify
from xiaozhi.languages import accepted, primary
from xiaozhi.services.devices import Devices
from xiaozhi.services.web.address import Address, forwarded, seen
from xiaozhi.services.web.proxies import Proxies

# The firmware parses each part with an unguarded stoi, so nothing else may be echoed.
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,5}")
_LONGEST = 65536
"""Bytes of a request that are read; devices send about two thousand."""
_CORS = (
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
    (
        b"Access-Control-Allow-Headers",
        b"Content-Type, Authorization, Device-Id, Client-Id, Activation-Version, Serial-Number",
    ),
    (b"Access-Control-Max-Age", b"86400"),
)


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


class Ota(Resource):
    """Answer the OTA request of devices that will talk at `path`."""

    isLeaf = True

    def __init__(self, path: str, offer: Offer, devices: Devices) -> None:
        """Tell devices what is on `offer`, and note in `devices` what they tell."""
        super().__init__()
        self._path = path
        self._offer = offer
        self._devices = devices

    def render_OPTIONS(self, request: Request) -> bytes:
        """Let pages of other origins ask."""
        _cors(request)
        request.setResponseCode(204)
        return b""

    def render_GET(self, request: Request) -> bytes:
        """Tell people the address; a device (it names itself) gets what POST gives."""
        if identify(_query(request), _headers(request)).known:
            return self.render_POST(request)
        _cors(request)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return f"xiaozhi OTA\nWebSocket: {self._address(request).ws(self._path)}\n".encode()

    def render_POST(self, request: Request) -> bytes:
        """Tell a device all it needs."""
        headers = _headers(request)
        body = _body(request)
        identity = identify(_query(request), headers)
        version = _version(body, headers)
        if identity.known:
            spoken = primary(_text(body.get("language")))
            self._devices.learn(
                identity.device, spoken or accepted(headers.get("accept-language", "")), version
            )
        _cors(request)
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        return msgspec.json.encode(
            self._time()
            # The device's own version, which means: no update. Unknown ones are left out.
            | ({"firmware": {"version": version, "url": ""}} if version else {})
            | {
                # `version` is sticky in a device's memory, so it is always told.
                "websocket": {
                    "url": self._address(request).ws(self._path),
                    "token": "",
                    "version": self._offer.framing,
                }
            }
        )

    def _address(self, request: Request) -> Address:
        if self._offer.public is not None:
            return self._offer.public
        headers, local = _headers(request), request.getHost()
        host = headers.get("host", "")
        peer = getattr(request.getClientAddress(), "host", "")
        return forwarded(self._offer.proxies.origin(peer, headers), host) or seen(
            host, local.host, local.port, bool(request.isSecure())
        )

    def _time(self) -> dict[str, Any]:
        now = self._offer.now()
        offset = (now.utcoffset() or timedelta()) // timedelta(minutes=1)
        return {
            "server_time": {"timestamp": int(now.timestamp() * 1000), "timezone_offset": offset}
        }


def _version(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Find the version of the device's firmware; "" if it tells none that is one."""
    application = body.get("application")
    version = _text(application.get("version")) if isinstance(application, dict) else ""
    # A body may be invalid JSON (an SSID with a quote in it); "<board>/<version>" is not.
    version = version or headers.get("user-agent", "").rpartition("/")[2]
    return version if _VERSION.fullmatch(version) else ""


def _body(request: Request) -> Mapping[str, Any]:
    try:
        body = msgspec.json.decode(request.content.read(_LONGEST) if request.content else b"")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _headers(request: Request) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): values[0].decode("utf-8", "replace")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def _query(request: Request) -> dict[str, list[str]]:
    return {
        name.decode("utf-8", "replace"): [value.decode("utf-8", "replace") for value in values]
        for name, values in (request.args or {}).items()
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _cors(request: Request) -> None:
    for name, value in _CORS:
        request.setHeader(name, value)
