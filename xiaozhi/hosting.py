"""The settings of the server as such: where it listens, whom it serves, where it keeps things."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from msgspec import Meta

from xiaozhi.mistakes import Mistake
from xiaozhi.section import Section
from xiaozhi.services.networks import check_networks
from xiaozhi.upkeep import Tls

_URL = re.compile(
    r"(https?|wss?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?/?", re.ASCII
)


def check_addresses(addresses: tuple[str, ...]) -> None:
    """Raise ValueError unless each is an IPv4 or IPv6 address."""
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise Mistake("no_addresses") from None


def check_url(url: str) -> None:
    """Raise ValueError unless devices can use `url` ("" is for none)."""
    match = _URL.fullmatch(url)
    if url and not (match and 0 < int(match.group("port") or 80) < 65536):
        raise Mistake("no_url")


_DATABASE = re.compile(
    r"sqlite:///(?P<path>/[^?#]*[^?#/])"
    r"|postgresql://([^:@/?#\s]+(:[^@/?#\s]*)?@)?"
    r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?(:(?P<port>\d{1,5}))?/[^/?#\s]+(\?[^#\s]*)?",
    re.ASCII,
)


def check_database(url: str) -> None:
    """Raise ValueError unless `url` names a database the store can use ("" is for the usual)."""
    match = _DATABASE.fullmatch(url)
    if url and not (match and 0 < int(match.group("port") or 5432) < 65536):
        raise Mistake("no_database")


def check_language(tag: str) -> None:
    """Raise ValueError unless `tag` is "auto" or names a language."""
    if not re.fullmatch(r"auto|[A-Za-z]{2,3}([-_.@][\w-]+)*", tag):
        raise Mistake("no_language")


class Server(Section, frozen=True):
    """Where the server listens, how devices reach it, and what it may use."""

    ip: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses to listen on: one, or a list.",
            min_length=1,
            extra={"check": check_addresses},
        ),
    ] = ("0.0.0.0", "::")  # noqa: S104 - devices are elsewhere on the network
    port: Annotated[
        int,
        Meta(description="Port for devices and pages alike. 0 takes any free one.", ge=0, le=65535),
    ] = 8000
    http_port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None,
        Meta(description="A second port with the same content; none if empty."),
    ] = None
    public_url: Annotated[
        str,
        Meta(
            description="The address under which devices reach the server, if they cannot use "
            "the one they asked at (behind a proxy, say): http, https, ws or wss.",
            extra={"check": check_url},
        ),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses and networks of the proxies before the server. Only they are "
            "believed when X-Forwarded-For, X-Real-IP or Forwarded say who asks and how.",
            extra={"check": check_networks},
        ),
    ] = ()
    tls: Annotated[Tls, Meta(description="TLS on `port`; http_port stays without.")] = Tls()
    language: Annotated[
        str,
        Meta(
            description="Language of the house, such as zh or en, for users who show no other. "
            "auto takes it from LC_ALL, LC_MESSAGES or LANG, and English if those name none.",
            extra={"check": check_language},
        ),
    ] = "auto"
    threadpool_max_workers: Annotated[
        int,
        Meta(description="Threads for the blocking work of each kind of engine.", ge=1, le=64),
    ] = 2
    state: Annotated[
        str,
        Meta(
            description="Folder for what the server keeps (weights and the like). If empty, "
            "$XDG_STATE_HOME/xiaozhi or ~/.local/state/xiaozhi. "
            "Under systemd, $STATE_DIRECTORY comes first."
        ),
    ] = ""
    max_connections: Annotated[
        int,
        Meta(description="Connections at one time; more are refused.", ge=1, le=100_000),
    ] = 1000
    max_connections_per_address: Annotated[
        int,
        Meta(
            description="Connections at one time from one address; more are refused. Loopback is "
            "exempt, since a proxy there speaks for many.",
            ge=1,
            le=100_000,
        ),
    ] = 64
    max_messages_per_second: Annotated[
        int,
        Meta(
            description="Messages a device may send, on average; five seconds' worth may come at "
            "once, and 2000 bytes count as one more. Who sends more is disconnected. Sound alone "
            "is up to 50 a second.",
            ge=60,
            le=100_000,
        ),
    ] = 200
    max_devices: Annotated[
        int,
        Meta(description="Devices that are known; further ones are sent away.", ge=1, le=1_000_000),
    ] = 10_000
    secret: Annotated[
        str,
        Meta(
            description="What a `server` message must know to reload or restart the server; "
            "if empty, none is obeyed."
        ),
    ] = ""
    shutdown_grace: Annotated[
        float,
        Meta(
            description="Seconds a stop may take, whatever still runs. Answers under way have "
            "half of it to finish.",
            ge=1,
            le=600,
        ),
    ] = 10.0

    def __post_init__(self) -> None:
        """Refuse two listeners on one port."""
        if self.http_port is not None and self.http_port == self.port:
            raise Mistake("same_port")


class Store(Section, frozen=True):
    """Where what outlives the server is kept."""

    url: Annotated[
        str,
        Meta(
            description="The database: sqlite:/// and the whole path of a file, or "
            "postgresql://user:password@host:port/database (pip install 'xiaozhi[postgres]'). "
            "If empty, SQLite in the file xiaozhi.db of the state folder.",
            extra={"check": check_database},
        ),
    ] = ""

    def __repr__(self) -> str:
        """Leave the URL out: there may be a password in it."""
        return "Store(...)"


class ManagerApi(Section, frozen=True):
    """The old place of a key."""

    secret: Annotated[str, Meta(description="The same as `server.secret`, which comes first.")] = ""
