"""Timers, alarms and reminders: who is told what, and when.

A device is served while it is connected: its reminders are read from the store when it comes, and
what is due is handed to its connection. So nothing is done for those that are away, and after a
restart each device finds its own again. Where several servers share a store, the one that has the
device claims what is due before it tells of it, and gives it back if the device goes meanwhile.

`due` is an instant, and compared with the wall clock at least once a minute, so that a clock which
is set, or a computer that slept, is noticed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import attrs
import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import notices
from xiaozhi.errors import Refused, ServiceError
from xiaozhi.identity import Identity
from xiaozhi.occurrence import following
from xiaozhi.services.store.records import Full, Reminder

MOST: Final = 50
"""Reminders a device may have."""
SOON: Final = 3600.0
"""Seconds before something is due in which a connection is kept for it."""
RINGS: Final = 3
"""So often timers and alarms ring, while nobody answers."""
PAUSE: Final = 60.0
"""Seconds between two rings, and at most until the wall clock is looked at again."""
SETTLING: Final = 2.0
"""Seconds a device that has just come is left alone: it may not be able to play yet."""
LEASE: Final = 600.0
"""Seconds for which what is due is claimed: three rings, and a user who is still talking."""
RETRY: Final = 10.0
"""Seconds until a store that failed is asked again."""


class Calendar(Protocol):
    """What is needed of the store. Its Deferreds fail with ServiceError."""

    def add_reminder(self, reminder: Reminder, most: int) -> Deferred[None]:
        """Keep a reminder."""

    def reminders(self, device_id: str) -> Deferred[list[Reminder]]:
        """Tell the reminders of a device."""

    def claim_reminders(
        self, ids: Collection[str], now: float, until: float
    ) -> Deferred[frozenset[str]]:
        """Hold reminders, and give those held."""

    def settle_reminder(self, reminder: Reminder, then: float | None) -> Deferred[None]:
        """Be done with a reminder, or let it be due again."""

    def cancel_reminders(self, device_id: str, ids: Collection[str]) -> Deferred[int]:
        """Delete reminders."""


@attrs.frozen
class Notice:
    """Something a user is to be told."""

    text: str
    language: str
    title: str
    again: bool
    """Whether it was told before, and need not be to who has answered."""
    told: Callable[[bool], None]
    """To be called when it was told; with False, if it need not be any more."""
    answered: Callable[[], None]
    """To be called when the user says or presses anything after it was told."""


class Ringer(Protocol):
    """A connection by which a user can be told something."""

    identity: Identity

    def ring(self, notice: Notice) -> None:
        """Tell it when nobody is interrupted."""


@attrs.define(eq=False)
class _Desk:
    """One device that is connected, and what it has to be told."""

    ringer: Ringer
    reminders: dict[str, Reminder] = attrs.field(factory=dict)
    at: dict[str, float] = attrs.field(factory=dict)
    """When each is to be told next, by its id."""
    rings: dict[str, int] = attrs.field(factory=dict)
    """How often those were told that are told again."""
    held: set[str] = attrs.field(factory=set)
    """Those that are claimed."""
    busy: bool = False
    """Whether something is being told."""
    unread: bool = False
    """Whether the store failed to tell its reminders, and is to be asked again."""

    @property
    def device(self) -> str:
        """The device's id."""
        return self.ringer.identity.device

    @property
    def known(self) -> bool:
        """Whether its reminders are stored."""
        return self.ringer.identity.known

    def put(self, reminder: Reminder, at: float) -> None:
        """Have it told then."""
        self.reminders[reminder.id] = reminder
        self.at[reminder.id] = at

    def drop(self, name: str) -> None:
        """Forget one."""
        for held in (self.reminders, self.at, self.rings):
            held.pop(name, None)
        self.held.discard(name)

    def due(self, now: float) -> list[Reminder]:
        """Tell what is due: those that were not told yet, else those to be told again."""
        names = sorted((at, name) for name, at in self.at.items() if at <= now)
        first = [name for _, name in names if name not in self.rings]
        return [self.reminders[name] for name in first or [name for _, name in names]]


class Reminders(Service):
    """Keeps the reminders of devices, and tells of them when they are due."""

    log = Logger()

    def __init__(self, store: Calendar, clock: Any, wall: Callable[[], float]) -> None:
        """Keep them in `store`; `wall` tells the seconds since 1970."""
        self._store = store
        self._clock = clock
        self._wall = wall
        self._desks: dict[str, _Desk] = {}
        self._next: list[tuple[float, str]] = []
        """A heap of when to look at which device, each pair once."""
        self._marked: set[tuple[float, str]] = set()
        """What is in it."""
        self._call: IDelayedCall | None = None

    def stopService(self) -> None:
        """Tell of nothing any more."""
        super().stopService()
        self._desks.clear()
        self._next.clear()
        self._marked.clear()
        self._arm()

    # -- who is here --

    def arrive(self, ringer: Ringer) -> None:
        """Look after a device that has come; a newer connection takes over from an older one."""
        desk = self._desks[ringer.identity.device] = _Desk(ringer)
        if desk.known:
            self._ask(desk)

    def _ask(self, desk: _Desk) -> None:
        desk.unread = False
        reading = self._store.reminders(desk.device)
        reading.addCallbacks(self._read, self._unread, callbackArgs=(desk,), errbackArgs=(desk,))

    def _read(self, reminders: Sequence[Reminder], desk: _Desk) -> None:
        soonest = self._wall() + SETTLING
        for reminder in reminders:
            if reminder.id not in desk.reminders:
                self._put(desk, reminder, max(reminder.due, soonest))

    def _unread(self, failure: Failure, desk: _Desk) -> None:
        failure.trap(ServiceError)  # the store has said so
        if self._desks.get(desk.device) is desk:
            desk.unread = True
            self._look_at(desk, self._wall() + RETRY)

    def leave(self, ringer: Ringer) -> None:
        """Let go of a device that leaves; what it was not told is told when it comes again."""
        desk = self._desks.get(ringer.identity.device)
        if desk is None or desk.ringer is not ringer:
            return
        del self._desks[desk.device]
        self._release(desk.held)

    def _release(self, names: Collection[str]) -> None:
        if names:
            freed = self._store.claim_reminders(tuple(names), math.inf, 0.0)
            freed.addErrback(lambda failure: failure.trap(ServiceError))

    def expects(self, device: str, within: float) -> bool:
        """Say whether a device that is connected is to be told something within so many seconds."""
        desk = self._desks.get(device)
        return desk is not None and any(at <= self._wall() + within for at in desk.at.values())

    # -- what there is --

    async def add(self, reminder: Reminder, known: bool) -> None:
        """Keep a reminder, in the store if its device is `known`; raises ServiceError."""
        desk = self._desks.get(reminder.device_id)
        if known:
            await self._store.add_reminder(reminder, MOST)
            desk = self._desks.get(reminder.device_id)  # it may have left
        elif desk is None:
            raise Refused("tool", "the device is not connected")
        elif len(desk.reminders) >= MOST:
            raise Full("tool", f"the device has {MOST} reminders already")
        if desk is not None:
            self._put(desk, reminder, reminder.due)

    async def all(self, device: str, known: bool) -> list[Reminder]:
        """Tell the reminders of a device, the next one first; raises ServiceError."""
        if known:
            return await self._store.reminders(device)
        desk = self._desks.get(device)
        return sorted(desk.reminders.values(), key=lambda one: one.due) if desk else []

    async def cancel(self, device: str, known: bool, names: Collection[str]) -> None:
        """Forget reminders of a device; raises ServiceError."""
        if known:
            await self._store.cancel_reminders(device, names)
        if desk := self._desks.get(device):
            for name in names:
                desk.drop(name)

    # -- what is due --

    def _put(self, desk: _Desk, reminder: Reminder, at: float) -> None:
        desk.put(reminder, at)
        self._look_at(desk, at)

    def _look_at(self, desk: _Desk, at: float) -> None:
        if (at, desk.device) not in self._marked:
            self._marked.add((at, desk.device))
            heapq.heappush(self._next, (at, desk.device))
        self._arm()

    def _arm(self) -> None:
        """Look again when the next is due, by a clock that may be set meanwhile."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._next:
            delay = min(PAUSE, max(0.0, self._next[0][0] - self._wall()))
            self._call = self._clock.callLater(delay, self._look)

    def _look(self) -> None:
        self._call = None
        now = self._wall()
        devices = set()
        while self._next and self._next[0][0] <= now:
            mark = heapq.heappop(self._next)
            self._marked.discard(mark)
            devices.add(mark[1])
        for device in devices:
            desk = self._desks.get(device)
            if desk is not None and desk.unread:
                self._ask(desk)
            if desk is not None and not desk.busy and (due := desk.due(now)):
                desk.busy = True
                telling = Deferred.fromCoroutine(self._tell(desk, due))
                telling.addErrback(self._failed)
        self._arm()

    async def _tell(self, desk: _Desk, due: Sequence[Reminder]) -> None:
        """Have the user told, if no other server does so already."""
        names = {reminder.id for reminder in due}
        if desk.known and names - desk.held:
            try:
                await self._claim(desk, names - desk.held)
            except ServiceError:
                desk.busy = False
                again = self._wall() + RETRY
                for name in names & desk.at.keys():
                    desk.at[name] = again
                self._look_at(desk, again)
                return
            if self._desks.get(desk.device) is not desk:
                return
        ours = desk.held if desk.known else names
        due = [one for one in due if one.id in desk.reminders and one.id in ours]
        if not due:
            self._free(desk)
            return
        language = due[0].language
        desk.ringer.ring(
            Notice(
                notices.notice(due, self._wall(), language),
                language,
                notices.title(due[0], language),
                due[0].id in desk.rings,
                partial(self._told, desk, due),
                partial(self._answered, desk),
            )
        )

    async def _claim(self, desk: _Desk, names: Collection[str]) -> None:
        """Hold what is to be told; raises ServiceError.

        What somebody else holds is looked at again until it is told there, as that may be a server
        which was killed before it could. While it can be, the store has it.
        """
        now = self._wall()
        claimed = await self._store.claim_reminders(tuple(names), now, now + LEASE)
        if self._desks.get(desk.device) is not desk:
            self._release(claimed)
            return
        desk.held |= claimed
        if others := set(names) - claimed:
            there = {one.id: one for one in await self._store.reminders(desk.device)}
            for name in others:
                if name in there:
                    self._put(desk, there[name], max(there[name].due, now + PAUSE))
                else:
                    desk.drop(name)

    def _told(self, desk: _Desk, due: Sequence[Reminder], spoken: bool) -> None:
        """Be done with what was told, or ring again in a minute."""
        now = self._wall()
        if spoken:
            self.log.info("{device} was told {count} reminders", device=desk.device, count=len(due))
        for reminder in due:
            if desk.reminders.get(reminder.id) != reminder:
                continue  # it was cancelled or answered meanwhile
            rings = desk.rings.get(reminder.id, 0) + 1
            rings_again = reminder.kind != "reminder" and now - reminder.due < RINGS * PAUSE
            if spoken and rings_again and rings < RINGS:
                desk.rings[reminder.id] = rings
                self._put(desk, reminder, now + PAUSE)
            else:
                self._settle(desk, reminder, now)
        self._free(desk)

    def _answered(self, desk: _Desk) -> None:
        """Be done with what has rung at once: who comes again is not told of it again."""
        now = self._wall()
        for name in list(desk.rings):
            self._settle(desk, desk.reminders[name], now)

    def _settle(self, desk: _Desk, reminder: Reminder, now: float) -> None:
        then = None
        if reminder.repeat:
            zone = ZoneInfo(reminder.zone)
            after = datetime.fromtimestamp(max(now, reminder.due), zone)
            then = following(after, reminder.minutes, reminder.repeat, zone).timestamp()
        desk.drop(reminder.id)
        if then is not None:
            self._put(desk, msgspec.structs.replace(reminder, due=then), then)
        if desk.known:
            settled = self._store.settle_reminder(reminder, then)
            settled.addErrback(lambda failure: failure.trap(ServiceError))  # the store has said so

    def _free(self, desk: _Desk) -> None:
        """Go on with what became due meanwhile."""
        desk.busy = False
        if desk.at:
            self._look_at(desk, min(desk.at.values()))

    def _failed(self, failure: Failure) -> None:
        """We are wrong: that must be seen."""
        self.log.failure("our fault: nobody is told of a reminder", failure)
