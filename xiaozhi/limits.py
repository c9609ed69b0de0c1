"""What one peer may ask of the server: how many connections, how many messages."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Literal

import attrs


class Bucket:
    """A token bucket: `rate` things a second, and at most `burst` of them at once."""

    def __init__(self, rate: float, burst: float) -> None:
        """Begin full."""
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = 0.0

    def take(self, now: float, count: int = 1) -> bool:
        """Take so many tokens; say whether they were there. `now` is in seconds."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < count:
            return False
        self._left -= count
        return True


@attrs.define
class Crowd:
    """The connections there are: at most `most`, and `per_address` of them from one address.

    Loopback counts only in all: a proxy on this machine speaks for many.
    """

    most: int
    per_address: int
    closed: bool = False
    """Whether nobody is let in any more."""
    total: int = 0
    _addresses: Counter[str] = attrs.field(factory=Counter)

    def enter(self, address: str) -> Literal["closed", "full", "address"] | None:
        """Let a connection from `address` in, or tell why not: the server is full, or it is."""
        if self.closed:
            return "closed"
        if self.total >= self.most:
            return "full"
        if self._addresses[address] >= self.per_address and not _loopback(address):
            return "address"
        self.total += 1
        self._addresses[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Note that a connection that was let in is gone."""
        self.total -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    @property
    def addresses(self) -> int:
        """How many addresses there are connections from."""
        return len(self._addresses)


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def host_of(peer: str) -> str:
    """Take the address out of Autobahn's name of a peer, such as "tcp4:192.0.2.1:40000".

    IPv4 that came over IPv6 is IPv4. What is no such name is given back as it is.
    """
    kind, _, rest = peer.partition(":")
    host = rest.rpartition(":")[0] if kind.startswith(("tcp", "tls", "ssl")) else peer
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return peer
    return str(getattr(address, "ipv4_mapped", None) or address)
