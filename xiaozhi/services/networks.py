"""Networks, and which addresses are in them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from xiaozhi.mistakes import Mistake

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NEIGHBOURS: Final = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""Loopback, private and link-local. A provider's shared 100.64.0.0/10 is not among them."""


def parse(text: str) -> Address | None:
    """Read an address, one that is mapped into IPv6 as the IPv4 it is; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def check_networks(networks: tuple[str, ...]) -> None:
    """Raise ValueError unless each is an address or a network."""
    try:
        Networks(networks)
    except ValueError:
        raise Mistake("no_networks") from None


class Networks:
    """Some networks."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Read them, each an address or a network; raises ValueError if one is neither."""
        self._networks: tuple[Network, ...] = tuple(ip_network(text) for text in networks)

    def __contains__(self, address: Address | None) -> bool:
        """Say whether an address is in one of them; None is nowhere."""
        return address is not None and any(address in network for network in self._networks)


def neighbourhood(address: Address) -> str:
    """Tell what is counted as one peer: an IPv4 address, or the /64 that one host may have."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def whose(text: str) -> str:
    """Tell as what peer an address counts, whatever it is that should be one."""
    address = parse(text)
    return neighbourhood(address) if address else "unknown addresses"
