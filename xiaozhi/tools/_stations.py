"""Radio on the internet: stations that are set, and a directory of all others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from math import inf
from ssl import SSLContext, create_default_context
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import msgspec

from xiaozhi.errors import ServiceError
from xiaozhi.services.bridge import from_aio_stream
from xiaozhi.services.deadline import Deadlines, timed
from xiaozhi.services.fetching import Fetcher
from xiaozhi.services.kept import Kept
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.networks import NEIGHBOURS, Networks, parse
from xiaozhi.services.pool import Workers
from xiaozhi.tools._decoding import RATE, of_stream
from xiaozhi.tools._icecast import listen
from xiaozhi.tools._matching import best

SILENCE: Final = 15.0
"""Seconds for which there may be no sound, when a station is called and later."""
_WELL: Final = 30.0
"""Seconds of sound after which a station that breaks off is called again."""
_WAITING: Final = 16
"""Pieces of a stream that wait to be decoded."""
_FOUND: Final = 5
_LIFETIME: Final = 3600.0


class _Listed(msgspec.Struct):
    """A station in the directory."""

    name: str
    url: str = ""
    url_resolved: str = ""
    hls: int = 0


@attrs.frozen
class Station:
    """A station that can be listened to."""

    title: str
    url: str
    _radio: Radio = attrs.field(repr=False)
    near: bool = True
    """Whether it may be in a network of the house: not if it was found in a directory outside."""
    endless: bool = True

    def named(self, language: str) -> str:
        """Say what it is called."""
        return self.title

    def sound(self, start: float) -> AsyncGenerator[bytes, None]:
        """Yield what it sends from now on, wherever it was before."""
        return self._radio.sound(self.url, self.near)


class Radio:
    """Finds stations and listens to them."""

    def __init__(
        self,
        clock: Any,
        pool: Workers,
        fetcher: Fetcher,
        stations: Mapping[str, str],
        directory: str,
    ) -> None:
        """Know `stations` (name -> URL), and ask a `directory` (radio-browser.info) for others.

        `directory` is an address, or "" for none.
        """
        self._clock = clock
        self._pool = pool
        self._fetcher = fetcher
        self._own = [Station(name, url, self) for name, url in stations.items()]
        self._directory = directory
        self._near = parse(urlsplit(directory).hostname or "") in Networks(NEIGHBOURS)
        """Whether the directory is in the house itself."""
        self._found: Kept[Sequence[Station]] = Kept(clock, _LIFETIME, usable=inf)
        self._trust: Lazy[SSLContext] = Lazy(pool, create_default_context)

    async def find(self, name: str) -> Sequence[Station]:
        """Find what is meant, the likest first, and what can be turned to from there.

        Without a `name` these are the stations that are set.
        """
        own = self._own
        if not name:
            return own
        match = best(name, ((station.title, station) for station in own))
        if match is not None:
            at = own.index(match)
            return [*own[at:], *own[:at]]
        if not self._directory:
            return ()
        return (await self._found.get(name.casefold(), lambda: self._looked_up(name))).value

    async def sound(self, url: str, near: bool) -> AsyncGenerator[bytes, None]:
        """Yield the sound of a station for ever; it is called again once when it breaks off."""
        trust = await self._trust.get()
        while True:
            source = from_aio_stream(lambda: listen(url, trust, near), _WAITING)
            heard, why = 0, "it ended"
            try:
                pieces = of_stream(self._pool, source)
                deadlines = Deadlines(SILENCE, SILENCE, inf)
                # Of the sound, as a station may send a byte now and then.
                async with aclosing(timed(pieces, self._clock, "tool", deadlines)) as sound:
                    async for piece in sound:
                        heard += len(piece) // 2
                        yield piece
            except ServiceError as error:
                why = error.why
            if heard < _WELL * RATE:
                raise ServiceError("tool", f"the station cannot be heard: {why}")

    def stop(self) -> None:
        """Stop looking for stations."""
        self._found.stop()

    async def _looked_up(self, name: str) -> Sequence[Station]:
        """Ask the directory for a name, then for what sort of station it is: "jazz"."""
        for field in ("name", "tag"):
            params = {
                field: name,
                "codec": "MP3",
                "hidebroken": "true",
                "order": "clickcount",
                "reverse": "true",
                "limit": str(_FOUND),
            }
            url = f"{self._directory}/json/stations/search"
            listed = await self._fetcher.json(list[_Listed], url, params)
            found = [
                Station(" ".join(one.name.split())[:80], address, self, self._near)
                for one in listed
                if (address := one.url_resolved or one.url) and not one.hls
            ]
            if found:
                return found
        return ()
