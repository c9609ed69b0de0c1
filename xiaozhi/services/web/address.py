"""The address of this server, as a device sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from xiaozhi.services.web.proxies import Origin, Proxies

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_SECURE = {"https", "wss"}
_USUAL = {"http": 80, "ws": 80, "https": 443, "wss": 443}


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


@attrs.frozen
class Arrival:
    """How a request has come to this server."""

    peer: str
    """The address that has sent it."""
    headers: Mapping[str, str]
    """Names in lower case."""
    host: str
    """The address it came to, and the port."""
    port: int
    secure: bool = False
    """Whether it came by TLS."""

    def asked_at(self, public: Address | None, proxies: Proxies) -> Address:
        """Tell the address to give whoever has sent it: the `public` one, or that it used."""
        if public is not None:
            return public
        host = self.headers.get("host", "")
        return forwarded(proxies.origin(self.peer, self.headers), host) or seen(
            host, self.host, self.port, self.secure
        )


def public(url: str) -> Address | None:
    """Read the configured public address; None if there is none."""
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    secure = parts.scheme in _SECURE
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(host, parts.port or _USUAL[parts.scheme], secure)


def forwarded(origin: Origin, host_header: str) -> Address | None:
    """Tell the address somebody asked a proxy at; None if the proxy does not tell how.

    Where neither the host nor the proxy names a port, it is the one usual for the scheme.
    """
    if not origin.proxied or origin.scheme not in _USUAL:
        return None
    match = _HOST.fullmatch(origin.host or host_header.strip())
    if match is None:
        return None
    secure = origin.scheme in _SECURE
    port = _port(match.group(2)) or _port(origin.port) or _USUAL[origin.scheme]
    return Address(match.group(1), port, secure)


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
    return Address(match.group(1), _port(match.group(2)) or local_port, secure)


def _port(text: str | None) -> int:
    """Read a port; 0 if it is none."""
    number = int(text) if text and re.fullmatch(r"\d{1,5}", text, re.ASCII) else 0
    return number if number < 65536 else 0
