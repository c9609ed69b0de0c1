"""The configuration a device fetches when it boots: its request, and what it makes of the reply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import attrs

from xiaozhi.device.errors import Crashed, Refused
from xiaozhi.device.firmware import Mode

Version = Literal[1, 2, 3]

_KEY: Final = 15
_STRING: Final = 4000
_BODY: Final = 8192

T = TypeVar("T")


@attrs.frozen
class Profile:
    """One device as it was sold and set up."""

    ota_url: str = ""
    """Where it fetches its configuration; without it, `ws_url` and `token` are its own."""
    ws_url: str = ""
    token: str = ""
    device_id: str = "02:00:00:00:00:01"
    client_id: str = "3fbb6a2e-5bd5-4a5b-8a0b-2a8d1f3f7e01"
    mode: Mode = "auto"
    version: Version | None = None
    """Its binary framing; None takes what the configuration says, 1 if it says nothing."""
    frame_ms: int = 60
    """Length of its own packets: 10, 20, 40 or 60 ms."""
    language: str = "zh-CN"
    board: str = "xiaozhi-sim"
    serial: str = ""
    features: Mapping[str, bool] = attrs.field(factory=lambda: {"mcp": True})

    def __attrs_post_init__(self) -> None:
        """Refuse what no device is."""
        if not self.ota_url and not self.ws_url:
            raise ValueError("a device needs an ota_url or a ws_url")
        if self.frame_ms not in (10, 20, 40, 60):
            raise ValueError(f"a device sends no frames of {self.frame_ms} ms")


@attrs.frozen
class Activation:
    """The code the user must enter before the device may talk."""

    code: str
    message: str
    challenge: str


@attrs.frozen
class Offer:
    """What the configuration tells the device."""

    url: str = ""
    token: str = ""
    version: int = 0
    """Binary framing; 0 where nothing is said."""
    activation: Activation | None = None


def headers(profile: Profile) -> dict[str, str]:
    """Make the headers of the request."""
    made = {
        "Activation-Version": "2" if profile.serial else "1",
        "Device-Id": profile.device_id,
        "Client-Id": profile.client_id,
        "User-Agent": f"{profile.board}/2.4.2",
        "Accept-Language": profile.language,
        "Content-Type": "application/json",
    }
    return made | ({"Serial-Number": profile.serial} if profile.serial else {})


def body(profile: Profile) -> bytes:
    """Make the body of the request."""
    about = {
        "version": 2,
        "language": profile.language,
        "flash_size": 16777216,
        "minimum_free_heap_size": "8318916",
        "mac_address": profile.device_id,
        "uuid": profile.client_id,
        "chip_model_name": "esp32s3",
        "chip_info": {"model": 9, "cores": 2, "revision": 2, "features": 18},
        "application": {
            "name": "xiaozhi",
            "version": "2.4.2",
            "compile_time": "2026-01-01T00:00:00Z",
            "idf_version": "v5.5.1",
            "elf_sha256": "0" * 64,
        },
        "partition_table": [],
        "ota": {"label": "ota_0"},
        "display": {"monochrome": False, "width": 240, "height": 240},
        "board": {
            "type": profile.board,
            "name": profile.board,
            "manufacturer": "simulated",
            "ssid": "simulated",
            "rssi": -50,
            "channel": 6,
            "ip": "127.0.0.1",
            "mac": profile.device_id,
        },
    }
    return json.dumps(about).encode()


def read(reply: bytes) -> Offer:
    """Read the reply. Raises Refused if a device cannot use it, Crashed if it cannot bear it."""
    if len(reply) > _BODY:
        raise Crashed(f"a configuration of {len(reply)} bytes blocks the firmware's HTTP client")
    try:
        told = json.loads(reply)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Refused("the configuration is not a JSON object")
    if "mqtt" in told:
        raise Refused("the configuration has an mqtt key, and the firmware would prefer that")
    firmware = told.get("firmware")
    if isinstance(firmware, dict):
        _check_version(firmware.get("version"))
    websocket = told.get("websocket")
    if not isinstance(websocket, dict):
        raise Refused("the configuration names no websocket")
    _check_storage(websocket)
    return Offer(
        url=_typed(websocket.get("url"), str, ""),
        token=_typed(websocket.get("token"), str, ""),
        version=_typed(websocket.get("version"), int, 0),
        activation=_activation(told.get("activation")),
    )


def _typed(value: object, kind: type[T], otherwise: T) -> T:
    return value if isinstance(value, kind) else otherwise


def _activation(told: object) -> Activation | None:
    if not isinstance(told, dict) or not ("code" in told or "challenge" in told):
        return None
    return Activation(
        *(_typed(told.get(name), str, "") for name in ("code", "message", "challenge"))
    )


def _check_version(version: object) -> None:
    """Check that every part of a dotted version begins with a digit, as `std::stoi` wants."""
    if isinstance(version, str) and not all(re.match(r"\s*\d", p) for p in version.split(".")):
        raise Crashed(f"firmware.version {version!r} is not dotted numbers")


def _check_storage(websocket: Mapping[str, Any]) -> None:
    for key, value in websocket.items():
        if isinstance(value, str | int | float) and len(key) > _KEY:
            raise Crashed(f"websocket.{key}: the flash takes no key of over {_KEY} bytes")
        if isinstance(value, str) and len(value.encode()) > _STRING:
            raise Crashed(f"websocket.{key}: the flash takes no string of over {_STRING} bytes")


@attrs.frozen
class Address:
    """Where a WebSocket URL leads."""

    host: str
    port: int
    path: str
    tls: bool


def address(url: str) -> Address:
    """Take a URL apart as the firmware does: the first colon comes before the port.

    Raises Crashed where what follows that colon, be it in the query, is no number.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        raise Refused(f"{url!r} is no WebSocket URL")
    slash = rest.find("/")
    path = rest[slash:] if slash >= 0 else "/"
    tls = scheme in ("wss", "https")
    host, colon, after = rest.partition(":")
    if not colon:
        return Address(rest[:slash] if slash >= 0 else rest, 443 if tls else 80, path, tls)
    number = re.match(r"\s*(\d+)", after)
    if number is None:
        raise Crashed(f"the firmware takes {after[:20]!r} in {url!r} for a port")
    return Address(host, int(number[1]), path, tls)


def handshake(profile: Profile, offer: Offer) -> tuple[int, dict[str, str]]:
    """Tell the binary framing to use and the headers of the WebSocket handshake."""
    version = profile.version or (offer.version if offer.version in (2, 3) else 1)
    made = {"Protocol-Version": str(version)}
    made |= {"Device-Id": profile.device_id, "Client-Id": profile.client_id}
    if offer.token:
        bearer = offer.token if " " in offer.token else f"Bearer {offer.token}"
        made = {"Authorization": bearer} | made
    return version, made
