"""Who really asks, where proxies stand before the server.

A proxy says it in `X-Forwarded-For`, `X-Real-IP` or `Forwarded` (RFC 7239), and whoever likes
can say the same. So only configured proxies are believed, and of a list only what they have
added: read from the right, the first address that is no such proxy is the one that asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from xiaozhi.services.networks import Networks, parse

UNKNOWN: Final = "unknown"
"""Stands for an address that a proxy does not tell, or tells in two ways."""

_PAIR = re.compile(r'\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",;]*)\s*([;,]|$)')
_NODE = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


@attrs.frozen
class Origin:
    """Where a request comes from, and how it was sent."""

    peer: str
    """The address that asks."""
    proxied: bool = False
    """Whether a configured proxy has passed it on; what follows is "" unless it tells."""
    scheme: str = ""
    """`http` or `https`."""
    host: str = ""
    """The host that was asked for, perhaps with its port."""
    port: str = ""
    """The port that was asked at."""
    claimed: tuple[str, ...] = ()
    """Whom somebody who is not configured says it speaks for. Never to be relied on."""


class Proxies:
    """The proxies that are believed."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """Believe those at the addresses, and in the networks, `trusted`."""
        self._trusted = Networks(trusted)

    def origin(self, peer: str, headers: Mapping[str, str]) -> Origin:
        """Tell where a request comes from that `peer` has sent (header names in lower case)."""
        if parse(peer) not in self._trusted:
            return Origin(_written(peer), claimed=tuple(claims(headers)))
        found = {client for chain in _chains(headers) if (client := self._client(chain))}
        # Two headers that disagree: the proxy sets one of them, and does not mind the other.
        client = found.pop() if len(found) == 1 else (UNKNOWN if found else _written(peer))
        told = _forwarded(headers)[-1:] or [{}]
        return Origin(
            client,
            proxied=True,
            scheme=_last(headers, "x-forwarded-proto") or told[0].get("proto", "").lower(),
            host=_last(headers, "x-forwarded-host") or told[0].get("host", ""),
            port=_last(headers, "x-forwarded-port"),
        )

    def _client(self, chain: list[str]) -> str:
        """Find the first from the right who is no proxy of ours; "" if all are."""
        for node in reversed(chain):
            address = parse(node)
            if address is None:
                return UNKNOWN
            if address not in self._trusted:
                return str(address)
        return ""


def claims(headers: Mapping[str, str]) -> Iterator[str]:
    """Tell everybody a request says it comes from or through, in any of the headers.

    Which of them a proxy wrote, and which the client, is not known. Where each of them must be
    allowed, nobody gains by inventing more.
    """
    return (_written(node) for chain in _chains(headers) for node in chain)


def _chains(headers: Mapping[str, str]) -> list[list[str]]:
    """List, for each header there is, the addresses it has, the nearest last."""
    elements = _forwarded(headers)
    return [
        [_node(text) for text in _items(headers.get("x-forwarded-for", ""))],
        [_node(text) for text in _items(headers.get("x-real-ip", ""))],
        [_node(element.get("for", "")) for element in elements],
    ]


def _items(text: str) -> Iterator[str]:
    return (item.strip() for item in text.split(",") if item.strip())


def _last(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").rpartition(",")[2].strip()


def _node(text: str) -> str:
    """Take the port and the brackets off an address."""
    match = _NODE.fullmatch(text)
    return (match.group(1) or match.group(2) or "") if match else text


def _written(text: str) -> str:
    """Write an address in its one form; what is none, as it is, but short."""
    address = parse(text)
    return str(address) if address else text[:64] or UNKNOWN


def _forwarded(headers: Mapping[str, str]) -> list[dict[str, str]]:
    """Read the elements of `Forwarded`; what is not well-formed is one that tells nothing."""
    text = headers.get("forwarded", "").strip()
    elements: list[dict[str, str]] = [{}] if text else []
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            return [{}]
        name, value, end = match.groups()
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        elements[-1][name.lower()] = value
        at = match.end()
        if end == ",":
            elements.append({})
    return elements
