"""The address of this server, as a device sees it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import attrs

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_SECURE = {"https", "wss"}


@attrs.frozen
class Address:
    """Where a server is reached: always with its port, which devices need spelled out."""

    host: str
    port: int
    secure: bool = False

    def http(self, path: str) -> str:
        """Write the address of a page."""
        return f"http{'s' * self.secure}://{self.host}:{self.port}{path}"

    def ws(self, path: str) -> str:
        """Write the address of a WebSocket."""
        return f"ws{'s' * self.secure}://{self.host}:{self.port}{path}"


def public(url: str) -> Address | None:
    """Read the configured public address; None if there is none."""
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    secure = parts.scheme in _SECURE
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(host, parts.port or (443 if secure else 80), secure)


def seen(host_header: str, local_host: str, local_port: int, secure: bool = False) -> Address:
    """Tell the address a request came to, by its Host header.

    The firmware's Host never carries a port; the request came to `local_port`, so that it is,
    and by TLS if it was `secure`.
    A header that is no host name is not believed at all.
    """
    match = _HOST.fullmatch(host_header.strip())
    if match is None:
        host = f"[{local_host}]" if ":" in local_host else local_host
        return Address(host, local_port, secure)
    port = int(match.group(2) or 0)
    return Address(match.group(1), port if 0 < port < 65536 else local_port, secure)
