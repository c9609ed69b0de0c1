"""The pages of the server, with a real store behind them: no request is answered with a 500.

The store and what the requests have done to it stay from one input to the next.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.server import Site

from tests.fakes import FakeHands, Table
from tests.fuzz.dice import ODD, Dice, garbled, message
from tests.fuzz.watching import Defect, quiet_log
from tests.pictures import JPEG, PNG, WEBP
from tests.services.web.test_multipart import TYPE, form
from tests.services.web.test_ota import NOW
from tests.services.web.test_vision import Eyes
from tests.tools.stage import AtOnce
from tests.websocket import HANDSHAKE, Transport, factory, set_clock
from xiaozhi.limits import Crowd
from xiaozhi.services.activation import Enrolment
from xiaozhi.services.auth import make_gate
from xiaozhi.services.auth.refusals import Refusals
from xiaozhi.services.auth.settings import Auth
from xiaozhi.services.counters import Counters
from xiaozhi.services.devices import Devices
from xiaozhi.services.engine import Workshop
from xiaozhi.services.mcp import Servers
from xiaozhi.services.pool import Workers
from xiaozhi.services.store import Store
from xiaozhi.services.store.database import Database, locate
from xiaozhi.services.web.api import Api, Means
from xiaozhi.services.web.health import Alive, Ready
from xiaozhi.services.web.mcp import Endpoint, McpPages
from xiaozhi.services.web.metrics import Metrics
from xiaozhi.services.web.operators import WINDOW, Operators
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.proxies import Proxies
from xiaozhi.services.web.site import site
from xiaozhi.services.web.vision import PATH, Explain, Passes
from xiaozhi.settings import Activation
from xiaozhi.upkeep import Metrics as Access

T = TypeVar("T")

DEVICE: Final = "aa:bb:cc:00:11:22"
METHODS: Final = ("GET", "POST", "OPTIONS", "PATCH", "DELETE", "PUT", "HEAD", "get", "BREW")
PATHS: Final = (
    "/", "/xiaozhi/ota/", "/xiaozhi/ota", "/supie/ota/", "/xiaozhi/ota/activate",
    "/xiaozhi/v1/", "/supie/v1/", "/healthz", "/readyz", "/metrics", "/favicon.ico",
    f"/{PATH}", f"/{PATH}", "/mcp", "/mcp/vision/", f"/{PATH}/x", f"/api/devices/{DEVICE}/tools",
    "/api/devices", f"/api/devices/{DEVICE}", f"/api/devices/{DEVICE}/memories",
    f"/api/devices/{DEVICE}/token", "/api/activate", "/api/tokens", "/api/tokens/12345678",
    "/api/mcp", "/mcp/", "/mcp/?token=", f"/mcp/?token={'x' * 43}",
    "//", "/..", "/%2e%2e/%00", "/xiaozhi/ota/x/y", "*", "http://x/xiaozhi/ota/",
)  # fmt: skip
QUERIES: Final = (
    "", "", "?device-id=aa%3Abb", "?device-id=%ff%00&device-id=", "?limit=0", "?limit=5",
    "?limit=%C2%B2", "?fingerprint=0123456789", "?token=x&authorization=Bearer%20x", "?&=&;=%",
    "?" + "a=b&" * 40,
)  # fmt: skip
HEADERS: Final = (
    "Device-Id: AA:BB:CC:00:11:22", "Client-Id: c1", "User-Agent: bread-compact-wifi/2.0.1",
    "Accept-Language: zh-CN,zh;q=0.9", "Accept-Language: ;q=,-,zh;q=nan", "X-Forwarded-For: ::1",
    "X-Forwarded-For: 1.2.3.4, ,[::1%eth0]:9", "X-Forwarded-Proto: https", "Forwarded: for=_x;;",
    "X-Forwarded-Host: a:b:c", "Host: [::", "Host: a:99999", "Host:", "Origin: null",
    "Authorization: Bearer", "Authorization: Bearer xd1_0_x", "Authorization: Basic 8J+Zgg==",
    "Device-Id: \u00e4\u00df\u4f60", "Device-Id: \\\"'", "Expect: 100-continue",
    "Connection: close", "Upgrade: h2c", "Range: bytes=0-", "If-Modified-Since: yesterday",
    "Content-Type: multipart/form-data", "Content-Type: multipart/form-data; boundary=x",
    'Content-Type: multipart/form-data; boundary="="', "Content-Length: 200000",
    "Content-Type: application/x-www-form-urlencoded", "Cookie: =;a", "Activation-Version: 2",
    "Access-Control-Request-Method: POST", "Transfer-Encoding: chunked", "Content-Length: 7",
)  # fmt: skip
BODIES: Final[tuple[Any, ...]] = (
    {"version": 2, "language": "zh-CN", "application": {"version": "2.4.2"}, "board": {}},
    {"board": {"type": "x"}},
    {"Payload": {"algorithm": "hmac-sha256", "challenge": "x", "hmac": "0"}},
    {"challenge": "\u00e4"}, {"code": "123456"}, {"device": DEVICE}, {"name": "小明"},
    {"tool": "self.reboot"}, {"tool": "x", "arguments": {"a": [None]}}, {"tool": "broken"},
    {"blocked": True}, {"blocked": False}, {"subject": "anna", "label": "laptop"}, {"label": "x"},
    *ODD,
)  # fmt: skip


class _Desk(Store):
    """A store that is asked in this thread, and answers at once."""

    def __init__(self, place: Path) -> None:
        super().__init__(Clock(), place)
        self._base = Database(locate(place), 2.0, 1)

    def _do(self, work: Callable[[Database], T]) -> Deferred[T]:
        return maybeDeferred(work, self._base)


class _Transport(Transport):
    """Hangs up when all that came has been read, as TCP does."""

    def loseConnection(self) -> None:
        self.disconnecting = True


class _World(NamedTuple):
    """A server without a port."""

    site: Site
    clock: Clock
    secret: str
    """An operator's token."""
    photos: str
    """A device's, for its photos."""


def one(data: bytes) -> None:
    """Send a request; raise Defect if it is answered with a 500, or a failure is logged."""
    dice, world = Dice(data), _world()
    world.clock.advance(WINDOW)  # wrong tokens are forgotten
    peer = IPv4Address("TCP", dice.pick(("192.168.1.9", "203.0.113.9", "127.0.0.1")), 40000)
    transport = _Transport(IPv4Address("TCP", "192.168.1.5", 8000), peer)
    before = set_clock(world.clock)
    try:
        with quiet_log():
            protocol: Any = world.site.buildProtocol(peer)
            transport.protocol = protocol
            protocol.callLater = world.clock.callLater
            protocol.makeConnection(transport)
            protocol.dataReceived(_request(dice, world))
            status = transport.value()[9:12]
            transport.protocol.connectionLost(Failure(ConnectionDone()))
            world.clock.advance(3)
    finally:
        set_clock(before)
    if status == b"500":
        raise Defect(f"answered with {transport.value()!r}")


def _request(dice: Dice, world: _World) -> bytes:
    """Write a request that may be one."""
    method, path = dice.pick(METHODS), dice.pick(PATHS) + dice.pick(QUERIES)
    fields = ["Host: 192.168.1.5:8000"]
    if path.startswith("/api/") and dice.below(4):
        fields.append(f"Authorization: Bearer {world.secret}")
    if path.startswith(f"/{PATH}") and dice.below(4):
        fields += [f"Authorization: Bearer {world.photos}", f"Device-Id: {DEVICE}"]
        fields.append(f"Content-Type: {TYPE}")
    if ("/v1/" in path or "/mcp/" in path) and dice.below(4):
        fields.extend(f"{name}: {text}" for name, text in HANDSHAKE.items())
    fields.extend(dice.pick(HEADERS) for _ in range(dice.below(4)))
    body = _body(dice) if dice.below(3) else b""
    if body:
        fields.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode()
    whole = head + body
    return garbled(whole, dice) if dice.rarely(4) else whole


def _body(dice: Dice) -> bytes:
    match dice.below(5):
        case 2:
            photo = form(question=dice.some(8), file=dice.pick((JPEG, PNG, WEBP, b"")))
            return garbled(photo, dice) if dice.below(2) else photo
        case 0:
            return message(dice)
        case 1:
            return dice.some(dice.below(64))
        case _:
            text = json.dumps(dice.pick(BODIES)).encode()
            return garbled(text, dice) if dice.rarely(4) else text


@cache
def _world() -> _World:
    """Put the pages together as the server does."""
    folder = Path(tempfile.mkdtemp(prefix="xiaozhi-fuzz-"))
    atexit.register(shutil.rmtree, folder)
    clock, proxies, counters = Clock(), Proxies(["127.0.0.0/8"]), Counters()
    clock.advance(1_800_000_000)
    store, wall = _Desk(folder / "xiaozhi.db"), clock.seconds
    auth = Auth(mode="token", key="k" * 32)
    shop = Workshop(clock, Workers(clock, "auth"), folder, "en")
    gate = make_gate(auth, proxies, counters, shop, wall, store)
    enrolment = Enrolment(store, gate.mint, auth, Activation(), 50, clock, wall)
    table = Table()
    table.clock = clock
    devices = Devices()
    open_to = Access().open_to
    passes = Passes()
    photos = Explain(cast("Any", Eyes()), passes, lambda device: "en", cast("Any", AtOnce()))
    servers = Servers(clock, counters, Workers(clock, "mcp"))
    pages = {
        "healthz": Alive(open_to),
        "readyz": Ready(open_to, {"port": lambda: ""}),
        "metrics": Metrics(open_to, counters),
        "api": Api(
            Operators(store, lambda: proxies, counters, clock),
            Means(store, enrolment, wall, hands={DEVICE: FakeHands()}.get),
        ),
        "mcp": McpPages(
            Endpoint(servers, store, Crowd(10, 10), counters, Refusals(clock), lambda: proxies)
        ),
        PATH: photos,
    }
    offer = Offer(None, 1, lambda: NOW, proxies)
    doors = site(
        factory(table, devices=devices, gate=gate), offer, devices, enrolment, pages,
        uploads={f"/{PATH}": photos.allows},
    )  # fmt: skip
    issued: list[Any] = []
    store.issue_token("operator", "anna", "laptop", wall()).addCallback(issued.append)
    return _World(doors, clock, issued[0].secret, passes.mint(DEVICE))
