"""Small answers of servers on the web: in time, of bounded length, and as text or JSON.

Importing this is cheap; the client is made in a thread at the first request.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs
import msgspec
from twisted.internet.defer import Deferred, succeed

from xiaozhi import __version__
from xiaozhi.errors import ServiceError, missing
from xiaozhi.services.bridge import from_aio, to_aio
from xiaozhi.services.http import failure, preload, short
from xiaozhi.services.kept import STOPPED
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.pool import Workers

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

AGENT: Final = f"xiaozhi/{__version__} (voice assistant)"
"""Who asks. Wikipedia, for one, wants to know."""
_AT_ONCE: Final = 16 * 2**10
"""Bytes of JSON that are read on the reactor, as that takes less than handing them over."""
_OURS: Final = "xiaozhi"
"""Of a request: the host it was meant for, and the names of the headers that were for that."""
_HOSTS: Final = 256
"""Of so many hosts it is remembered how long they want to be left alone."""


@attrs.frozen
class Page:
    """What a server answered."""

    body: bytes = attrs.field(repr=False)
    kind: str
    """Its Content-Type: "text/xml; charset=gbk"."""


class Fetcher:
    """Asks servers, and waits for an answer as long as somebody waits for it.

    Every request fails with ServiceError within `patience` seconds, whatever it waited for: a
    thread, a connection, the answer. A server that said when it wants to be asked again is not
    asked before.
    """

    def __init__(
        self,
        clock: Any,
        pool: Workers,
        patience: float = 8.0,
        largest: int = 2 * 2**20,
        trust_env: bool = True,
    ) -> None:
        """Accept answers of up to `largest` bytes; raise Unavailable if httpx2 is missing.

        With `trust_env` the proxies are used that the environment names.
        """
        if find_spec("httpx2") is None:
            raise missing("httpx2")
        self._clock = clock
        self._pool = pool
        self._patience = patience
        self._largest = largest
        self._trust_env = trust_env
        self._client = Lazy(pool, self._connect)
        self._stopped = False
        self._resting: dict[str, float] = {}
        """Until when a host wants to be left alone."""

    async def fetch(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> Page:
        """Get a page, or post `json` to it; raise ServiceError."""
        return await self._in_time(url, lambda: self._page(url, params, headers, json))

    async def json(
        self,
        kind: type[T],
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> T:
        """Get JSON, or post some and get what is answered, as a `kind`; raise ServiceError."""

        async def decoded() -> T:
            page = await self._page(url, params, headers, json)
            if len(page.body) <= _AT_ONCE:
                return _read(page.body, kind)
            return await to_aio(self._pool.run(_read, page.body, kind))

        return await self._in_time(url, decoded)

    def stop(self) -> Deferred[None]:
        """Close the connections, and make no others: who still asks is told to try again."""
        self._stopped = True
        client = self._client.drop()
        return succeed(None) if client is None else from_aio(client.aclose())

    async def _in_time(self, url: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do what asks a host, unless that wants to be left alone; raise ServiceError."""
        host = _host(url)
        if self._stopped:
            raise _replaced()
        if (wait := self._resting.get(host, 0.0) - self._clock.seconds()) > 0:
            raise ServiceError("tool", f"{host} is busy, for {wait:.0f} s", wait)

        async def timed() -> T:
            async with asyncio.timeout(self._patience):
                return await work()

        try:
            return await from_aio(timed())
        except TimeoutError as error:
            raise ServiceError("tool", f"{host}: no answer within {self._patience:g} s") from error
        except ServiceError as error:
            if error.rest:
                self._rest(host, error.rest)
            raise

    def _rest(self, host: str, seconds: float) -> None:
        now = self._clock.seconds()
        if len(self._resting) >= _HOSTS:
            self._resting = {name: end for name, end in self._resting.items() if end > now}
        if len(self._resting) < _HOSTS:
            self._resting[host] = now + seconds

    def _connect(self) -> httpx2.AsyncClient:
        """Import httpx2 and make a client: for a thread."""
        from xiaozhi.services.connections import Connections

        preload()
        client = Connections(
            timeout=None,
            follow_redirects=True,
            trust_env=self._trust_env,
            headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"},
        )
        client.event_hooks["request"].append(_kept_from_others)
        return client

    async def _page(
        self,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        json: Any,
    ) -> Page:
        """Get a page, unpacked. Belongs to asyncio."""
        encoding, page = await self._ask(url, params, headers or {}, json)
        if not encoding:
            return page
        body = await to_aio(self._pool.run(_unpacked, page.body, self._largest))
        return Page(body, page.kind)

    async def _ask(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], json: Any
    ) -> tuple[str, Page]:
        """Send the request; return how the answer is packed, and it. Belongs to asyncio."""
        client = await to_aio(self._client.get())
        import httpx2

        if self._stopped:
            raise _replaced()

        method = "GET" if json is None else "POST"
        host = _host(url)
        try:
            async with client.stream(
                method,
                url,
                params=params,
                headers=dict(headers),
                json=json,
                extensions={_OURS: (httpx2.URL(url).netloc, tuple(headers))},
            ) as answer:
                body = await self._body(answer)
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            if self._stopped:
                raise _replaced() from error
            why = short(str(error)) or type(error).__name__
            raise ServiceError("tool", f"{host}: {why}") from error
        if not answer.is_success:
            said = short(body[:1000].decode("utf-8", "replace"), 120)
            why = f"{host}: HTTP {answer.status_code}" + (f", {said}" if said else "")
            raise failure("tool", why, answer.status_code, answer.headers)
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise ServiceError(
                "tool", f"{host}: sent {short(encoding, 20)}, which nobody asked for"
            )
        return encoding.removeprefix("identity"), Page(body, answer.headers.get("content-type", ""))

    async def _body(self, answer: httpx2.Response) -> bytes:
        """Read what is sent as it is sent: what is packed may be a bomb. Belongs to asyncio."""
        body = bytearray()
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > self._largest:
                raise _too_long(self._largest)
        return bytes(body)


async def _kept_from_others(request: httpx2.Request) -> None:
    """Take our own headers off a request that was redirected to another host: they may be keys.

    httpx2 itself does so with Authorization only. Belongs to asyncio.
    """
    host, names = request.extensions[_OURS]
    if request.url.netloc != host:
        for name in names:
            request.headers.pop(name, None)


def _host(url: str) -> str:
    """Tell the host of an address, and its port if that is not the usual."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError as error:  # brackets without end
        raise ServiceError("tool", "this is no address") from error


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = f"the answer cannot be understood: {short(str(error), 120)}"
        raise ServiceError("tool", why) from error


def _unpacked(body: bytes, largest: int) -> bytes:
    """Unpack gzip: for a thread."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(body, largest + 1)
    except zlib.error as error:
        raise ServiceError("tool", "the answer is packed wrongly") from error
    if len(text) > largest:
        raise _too_long(largest)
    return text


def _replaced() -> ServiceError:
    return ServiceError("tool", STOPPED)


def _too_long(largest: int) -> ServiceError:
    return ServiceError("tool", f"the answer is longer than {largest >> 10} KiB")
