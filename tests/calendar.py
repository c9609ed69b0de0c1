"""A store of reminders that answers at once, or fails."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred, fail, succeed

from xiaozhi.errors import ServiceError
from xiaozhi.services.store.records import Full, Reminder

T = TypeVar("T")


class FakeCalendar:
    """Keeps reminders, and until when they are held."""

    def __init__(self) -> None:
        self.kept: dict[str, Reminder] = {}
        self.held: dict[str, float] = {}
        self.failing = False

    def _do(self, work: Callable[[], T]) -> Deferred[T]:
        if self.failing:
            return fail(ServiceError("store", "the disk is full"))
        return succeed(work())

    def add_reminder(self, reminder: Reminder, most: int) -> Deferred[None]:
        if len(self.kept) >= most:
            return fail(Full("store", f"the device has {most} reminders already"))
        return self._do(lambda: self.kept.update({reminder.id: reminder}))

    def reminders(self, device_id: str) -> Deferred[list[Reminder]]:
        own = [one for one in self.kept.values() if one.device_id == device_id]
        return self._do(lambda: sorted(own, key=lambda one: one.due))

    def claim_reminders(
        self, ids: Collection[str], now: float, until: float
    ) -> Deferred[frozenset[str]]:
        def claim() -> frozenset[str]:
            free = [name for name in ids if name in self.kept and self.held.get(name, 0) <= now]
            self.held.update(dict.fromkeys(free, until))
            return frozenset(free)

        return self._do(claim)

    def settle_reminder(self, reminder: Reminder, then: float | None) -> Deferred[None]:
        def settle() -> None:
            kept = self.kept.pop(reminder.id, None)
            self.held.pop(reminder.id, None)
            if kept is not None and then is not None:
                self.kept[kept.id] = msgspec.structs.replace(kept, due=then)

        return self._do(settle)

    def cancel_reminders(self, device_id: str, ids: Collection[str]) -> Deferred[int]:
        return self._do(lambda: len([name for name in ids if self.kept.pop(name, None)]))
