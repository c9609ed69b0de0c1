"""MCP servers, and the tools they have: those of the settings, and those that come to us."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger

from xiaozhi.errors import Refused
from xiaozhi.services.counters import Counters
from xiaozhi.services.mcp.guest import Guest
from xiaozhi.services.mcp.link import Link, Room, Terms, room
from xiaozhi.services.mcp.log import Log
from xiaozhi.services.mcp.settings import Mcp, Server
from xiaozhi.services.pool import Workers
from xiaozhi.tooling import Tool

GUESTS: Final = 128
"""Servers that may have come to us at one time."""
EACH: Final = 16
"""With one token."""
ENDPOINT: Final = "endpoint"


class Servers(MultiService):
    """The links to all servers; a `Source` of tools."""

    log = Logger()

    def __init__(self, clock: Any, counters: Counters, pool: Workers) -> None:
        """Use the `pool` for imports and long messages."""
        super().__init__()
        self._room: Room = room(clock, counters, pool)
        self._settings: dict[str, Server] = {}
        self._links: dict[str, Link] = {}
        self._guests: dict[Link, tuple[str, Guest]] = {}
        """With the ids of their tokens."""
        self._merged: dict[tuple[int, ...], tuple[Tool, ...]] = {}
        self._leaving: set[Deferred[Any]] = set()
        counters.gauge("mcp_connected", self._guests_here, server=ENDPOINT)

    # -- the source --

    def tools(self, device: str) -> Sequence[Tool]:
        """Tell which tools there are now for a device."""
        links = [link for link in self._all() if link.serves(device)]
        key = tuple(map(id, links))
        if key not in self._merged:
            self._merged[key] = merged(links)
        return self._merged[key]

    def states(self) -> list[dict[str, Any]]:
        """Tell of each server how it is."""
        return [
            {
                "name": link.label,
                "how": ENDPOINT if link.terms.label == ENDPOINT else self._settings[name].spoken,
                "state": link.state,
                "why": link.why,
                "tools": [tool.name for tool in link.tools],
                "devices": None if link.terms.devices is None else sorted(link.terms.devices),
            }
            for name, link in [*self._links.items(), *(("", guest) for guest in self._guests)]
        ]

    def _all(self) -> Iterable[Link]:
        yield from self._links.values()
        yield from self._guests

    def _changed(self, link: Link) -> None:
        """Put the tools together anew; a guest whose session has ended is gone."""
        self._merged.clear()
        if link.state == "ended" and link in self._guests:
            _, guest = self._guests.pop(link)
            guest.close()
            self._send_away(link)

    def _send_away(self, link: Link) -> None:
        """Have one of ours no more; its end may take a moment, which a stop waits for."""
        leaving: Deferred[Any] = maybeDeferred(link.disownServiceParent)
        self._leaving.add(leaving)
        leaving.addBoth(lambda _: self._leaving.discard(leaving))

    def stopService(self) -> Deferred[Any]:
        """End all of them."""
        return DeferredList([maybeDeferred(super().stopService), *self._leaving])

    # -- the settings --

    def replace(self, settings: Mcp) -> None:
        """Have the servers of the `settings`; links whose settings are the same stay."""
        wanted = {name: server for name, server in settings.servers.items() if server.enabled}
        for name, link in list(self._links.items()):
            if wanted.get(name) != self._settings[name]:
                self._send_away(link)
                self._room.counters.forget("mcp_connected", server=name)
                del self._links[name]
        links = {
            name: self._links.get(name) or self._link(name, one) for name, one in wanted.items()
        }
        self._settings, self._links = wanted, links
        for link in links.values():
            if link.parent is None:
                link.setServiceParent(self)
        self._merged.clear()

    def _link(self, name: str, server: Server) -> Link:
        terms = Terms(name, server.timeout_s, server.alone, server.uses)
        log = Log(partial(self._say, name))
        link = Link(name, lambda ways: ways.to(server, log), terms, self._room, self._changed)
        self._room.counters.gauge(
            "mcp_connected", lambda: float(link.state == "connected"), server=name
        )
        return link

    def _say(self, name: str, line: str) -> None:
        self.log.info("{server}: {line}", server=name, line=line)

    # -- those that come to us --

    def welcome(self, guest: Guest, token: str, devices: Collection[str] | None) -> Link:
        """Have a server that has come with a `token` serve `devices`, None for all.

        Raises Refused if there are too many.
        """
        of_token = sum(known == token for known, _ in self._guests.values())
        if len(self._guests) >= GUESTS or of_token >= EACH:
            raise Refused("mcp", "too many servers are here")
        terms = Terms(ENDPOINT, devices=devices, lasting=False)
        link = Link(ENDPOINT, lambda ways: ways.over(guest), terms, self._room, self._changed)
        self._guests[link] = token, guest
        link.setServiceParent(self)
        return link

    def keep(self, tokens: Collection[str]) -> None:
        """Send those away whose token is none of these."""
        for link, (token, _) in list(self._guests.items()):
            if token not in tokens:
                link.stopService()

    def _guests_here(self) -> float:
        return sum(link.state == "connected" for link in self._guests)


def merged(links: Iterable[Link]) -> tuple[Tool, ...]:
    """Put the tools of several links together: a name that is taken gets its server's in front."""
    found: dict[str, Tool] = {}
    for link in links:
        for tool in link.tools:
            name = tool.name if tool.name not in found else f"{link.label}_{tool.name}"
            if name not in found:
                found[name] = tool if name == tool.name else attrs.evolve(tool, name=name)
    return tuple(found.values())
