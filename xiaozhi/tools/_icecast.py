"""Listen to a station on the internet: HTTP(S) as Icecast and SHOUTcast servers speak it.

Old servers answer "ICY 200 OK", which no HTTP client takes for an answer; apart from that this
is HTTP/1.0, which such servers and their listeners have in common. Belongs to asyncio.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, suppress
from ssl import SSLContext
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import attrs

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.fetching import AGENT
from xiaozhi.services.http import address, failure, short, shown
from xiaozhi.services.networks import NEIGHBOURS, Networks, parse

PIECE: Final = 4096
_HOPS: Final = 5
"""Redirections and lists in which the stream may be hidden."""
_CONNECTING: Final = 8.0
"""Seconds until the head of the answer must be there."""
_HEADERS: Final = 100
_HOUSE: Final = Networks((*NEIGHBOURS, "100.64.0.0/10", "0.0.0.0/8", "::/128"))
"""What the house may have; also by the addresses of nobody, which lead to this very computer."""
_LONGEST_LIST: Final = 2**16
_STATUS: Final = re.compile(rb"(?:HTTP/1\.[01]|ICY) (\d{3})\b")
_ADDRESS: Final = re.compile(r"(?im)^(?:File\d+\s*=\s*)?(https?://\S+)")

_MP3: Final = frozenset({"audio/mpeg", "audio/mp3", "audio/x-mpeg", "application/octet-stream", ""})
_LIST_NAMES: Final = (".m3u", ".m3u8", ".pls")
_LISTS: Final = frozenset(
    {
        "audio/x-mpegurl",
        "audio/mpegurl",
        "application/x-mpegurl",
        "application/vnd.apple.mpegurl",
        "audio/x-scpls",
        "audio/scpls",
        "application/pls+xml",
    }
)


@attrs.frozen
class _Answer:
    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


async def listen(url: str, trust: SSLContext, near: bool) -> AsyncGenerator[bytes, None]:
    """Yield the MP3 of a station as it comes, up to `PIECE` bytes at a time; raise ServiceError.

    Redirections are followed, and lists of stations (.m3u, .pls) to their first. Unless it may
    be `near`, nothing in a network of the house is connected to, wherever a name leads.
    """
    url = _checked(url)
    for _ in range(_HOPS):
        try:
            async with asyncio.timeout(_CONNECTING):
                answer = await _asked(url, trust, near)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            # TimeoutError and SSLError are kinds of OSError.
            why = short(str(error)) or type(error).__name__
            raise ServiceError("tool", f"{shown(url)}: {why}") from error
        try:
            if answer.status in (301, 302, 303, 307, 308):
                url = _checked(answer.headers.get("location", ""), url)
            elif answer.status != 200:
                why = f"the station answered HTTP {answer.status}"
                raise failure("tool", why, answer.status, answer.headers)
            elif answer.kind in _LISTS or urlsplit(url).path.endswith(_LIST_NAMES):
                url = _checked(await _listed(answer))
            elif answer.kind in _MP3:
                async for piece in _pieces(answer):
                    yield piece
                return
            else:
                raise ServiceError(
                    "tool",
                    f"the station sends {short(answer.kind, 40)}, and only MP3 can be played",
                )
        finally:
            answer.writer.transport.abort()
    raise ServiceError("tool", "the station leads from one address to the next")


def _checked(url: str, base: str = "") -> str:
    try:
        return address(urljoin(base, url), "address")
    except (ValueError, Unavailable) as error:
        raise ServiceError("tool", "the station has no address of HTTP") from error


async def _asked(url: str, trust: SSLContext, near: bool) -> _Answer:
    """Connect, ask, and read the head of the answer."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (host + target).isascii() or not (host + target).isprintable() or " " in target:
        raise ValueError("this is no address")
    reader, writer = await _connected(parts, trust, near)
    with ExitStack() as undo:
        undo.callback(writer.transport.abort)
        lines = (
            f"GET {target} HTTP/1.0",
            f"Host: {host}",
            f"User-Agent: {AGENT}",
            "Accept: audio/mpeg, */*;q=0.5",
            "Connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode())
        status = _STATUS.match(await reader.readline())
        if status is None:
            raise ValueError("this is no answer of HTTP")
        headers: dict[str, str] = {}
        for _ in range(_HEADERS):
            line = await reader.readuntil(b"\n")
            if not line.strip():
                undo.pop_all()
                return _Answer(int(status[1]), headers, reader, writer)
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raise ValueError("the head of the answer has no end")


async def _connected(
    parts: SplitResult, trust: SSLContext, near: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to where the name leads now: it is looked up once, as it may lead elsewhere later."""
    name, secure = parts.hostname, parts.scheme == "https"
    assert name is not None  # `_checked` saw to that
    port = parts.port or (443 if secure else 80)
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = [str(place[0]) for *_, place in found]
    if not near:
        addresses = [one for one in addresses if (it := parse(one)) and it not in _HOUSE]
        if not addresses:
            raise ValueError("a station from a directory cannot be in this house")
    for one in addresses[:-1]:
        with suppress(OSError):
            return await _opened(one, port, name, trust if secure else None)
    return await _opened(addresses[-1], port, name, trust if secure else None)


async def _opened(
    address: str, port: int, name: str, trust: SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        address, port, ssl=trust, server_hostname=name if trust else None
    )


async def _pieces(answer: _Answer) -> AsyncGenerator[bytes, None]:
    """Yield the body. Who keeps silent is dealt with by who reads this."""
    try:
        while data := await answer.reader.read(PIECE):
            yield data
    except OSError as error:
        raise ServiceError("tool", f"the station broke off: {short(str(error))}") from error


async def _listed(answer: _Answer) -> str:
    """Read a list of addresses, and return the first."""
    text = bytearray()
    async with asyncio.timeout(_CONNECTING):
        while (data := await answer.reader.read(PIECE)) and len(text) < _LONGEST_LIST:
            text += data
    listed = text.decode("utf-8", "replace")
    first = _ADDRESS.search(listed)
    if "#EXT-X-" in listed or first is None:
        raise ServiceError("tool", "the station sends a playlist (HLS), and only MP3 can be played")
    return first[1]
