"""Who is connected: which connection serves which device, and whether it may.

A device has one route: its newest connection. That is entered at once, when the device has said
hello; what the store says of the device comes up to two seconds later, and until then the
device is served as any other. So a stock device waits for nothing, and one that is blocked is
heard for a moment at most. Names made up for devices that have none are not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from xiaozhi.devicetools import DeviceTools
from xiaozhi.errors import ServiceError
from xiaozhi.identity import Identity
from xiaozhi.services.counters import Counters
from xiaozhi.services.deadline import within
from xiaozhi.services.store.records import DeviceRecord, Full, Seen


class Registry(Protocol):
    """What is needed of the store. Its Deferreds fail with ServiceError."""

    @property
    def patience(self) -> float:
        """Seconds it has to answer: two, but for the time right after the start."""

    def came(self, device: Seen, now: float, most: int | None) -> Deferred[DeviceRecord]:
        """Note that a device is here, and tell what is known of it, or was a moment ago.

        Fails with Full if it is a new one where there are `most` already.
        """


class Guest(Protocol):
    """A connection, as the others of the same device see it."""

    identity: Identity
    tools: DeviceTools

    @property
    def language(self) -> str:
        """The user's language."""

    def overtaken(self) -> None:
        """Hear that a newer connection has taken over: finish the sentence, and go."""

    def dismiss(self, code: int, reason: str) -> None:
        """Go at once."""

    def forget(self, seconds: float | None, about: str = "") -> None:
        """Drop what was said in the last `seconds`, or (None) ever; or only `about` something."""


class Unregistered(Exception):
    """A device may not stay; `str()` says why, for the log."""

    def __init__(self, code: int, reason: str, why: str) -> None:
        """Take the `code` that closes its connection, the `reason` to count by, and `why`."""
        super().__init__(why)
        self.code = code
        self.reason = reason


class Presence:
    """Know the newest connection of each device, and the one that is just leaving."""

    def __init__(
        self,
        registry: Registry | None,
        most: int,
        counters: Counters,
        clock: Any,
        wall: Callable[[], float],
    ) -> None:
        """Let at most `most` devices into `registry`; without one, everybody may stay.

        `wall` tells the seconds since 1970.
        """
        self._registry = registry
        self.most = most
        self._counters = counters
        self._clock = clock
        self._wall = wall
        self._routes: dict[str, Guest] = {}
        self._leaving: dict[str, Guest] = {}
        self._silent: dict[str, set[Guest]] = {}
        """Those that were let in and have not said hello yet."""

    def __iter__(self) -> Iterator[str]:
        """Give the ids of the devices that can be reached."""
        return iter(self._routes)

    def find(self, device: str) -> Guest | None:
        """Find the connection of a device."""
        return self._routes.get(device)

    def tools(self, device: str) -> DeviceTools | None:
        """Find the tools of a device; None if it is not connected."""
        guest = self._routes.get(device)
        return None if guest is None else guest.tools

    def send_away(self, device: str) -> None:
        """Close every connection of a device: it may not stay, nor who was just let in as it."""
        for guest in (*self._talking(device), *self._silent.get(device, ())):
            guest.dismiss(1008, "not registered")

    def forget(self, device: str, seconds: float | None, about: str = "") -> None:
        """Have a device's talk drop what `forget` of its guests says."""
        for guest in self._talking(device):
            guest.forget(seconds, about)

    def _talking(self, device: str) -> list[Guest]:
        return [guests[device] for guests in (self._routes, self._leaving) if device in guests]

    def expect(self, guest: Guest) -> None:
        """Note a connection that was let in, and will say hello."""
        self._silent.setdefault(guest.identity.device, set()).add(guest)

    def take(self, guest: Guest) -> None:
        """Let `guest` be the one connection of its device.

        The one before it may finish its sentence; but if another still does, it must go now:
        there are two at most.
        """
        device = guest.identity.device
        self._has_spoken(guest)
        older = self._routes.get(device)
        self._routes[device] = guest
        if older is None:
            return
        self._counters.count("takeovers")
        if device in self._leaving:
            older.dismiss(1000, "another connection of this device has taken over")
        else:
            self._leaving[device] = older
            older.overtaken()

    def leave(self, guest: Guest) -> None:
        """Forget a connection that is gone; never the route of a newer one."""
        self._has_spoken(guest)
        for guests in (self._routes, self._leaving):
            if guests.get(guest.identity.device) is guest:
                del guests[guest.identity.device]

    def _has_spoken(self, guest: Guest) -> None:
        silent = self._silent.get(guest.identity.device, set())
        silent.discard(guest)
        if not silent:
            self._silent.pop(guest.identity.device, None)

    async def register(self, device: Seen) -> DeviceRecord | None:
        """Note in the store that a device is here, and tell what is known; None without a store.

        Raises Unregistered if it may not stay.
        """
        if self._registry is None:
            return None
        patience = self._registry.patience
        noting = self._registry.came(device, self._wall(), self.most)
        try:
            known = await within(patience, noting, self._clock)
        except TimedOut:
            raise Unregistered(
                1013, "store", f"the store did not answer within {patience:g} s"
            ) from None
        except Full as error:
            raise Unregistered(1013, "max_devices", error.why) from error
        except ServiceError as error:
            raise Unregistered(1013, "store", str(error)) from error
        if known.blocked:
            raise Unregistered(1008, "blocked", "the device is blocked")
        return known
