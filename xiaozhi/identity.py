"""Who a device says it is: read once, here, and used so everywhere."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence

import attrs

_DEVICE = ("device-id", "device_id", "x-device-id", "x-device_id")
_CLIENT = ("client-id", "client_id", "x-client-id", "x-client_id")
_MADE_UP = re.compile("auto-[0-9a-f]{8}")


@attrs.frozen
class Identity:
    """A device and the program on it. Ids have no blanks, no quotes, no capitals."""

    device: str
    client: str
    source: str
    """Where the device id comes from, for the log: "query", "header", "client" or "made up"."""

    @property
    def known(self) -> bool:
        """Whether the id is the device's own, so that something can be kept for it."""
        return not _MADE_UP.fullmatch(self.device)


def identify(query: Mapping[str, Sequence[str]], headers: Mapping[str, str]) -> Identity:
    """Read the ids of a request: its `query` first, then its `headers` (names in lower case)."""
    asked = {name.lower(): values[0] for name, values in query.items() if values}
    client = _first(_CLIENT[:2], asked) or _first(_CLIENT, headers)
    for source, device in (
        ("query", _first(_DEVICE[:2], asked)),
        ("header", _first(_DEVICE, headers)),
        ("client", client),
    ):
        if device:
            return Identity(device, client or device, source)
    made_up = f"auto-{secrets.token_hex(4)}"
    return Identity(made_up, made_up, "made up")


def _first(names: Iterable[str], values: Mapping[str, str]) -> str:
    for name in names:
        if text := normal(values.get(name, "")):
            return text
    return ""


def normal(text: str) -> str:
    """Write an id as it is written everywhere; "" for none. Overlong ones are cut."""
    kept = "".join(sign for sign in text if sign.isprintable() and sign not in " \"'\\")
    return kept.lower()[:128]
