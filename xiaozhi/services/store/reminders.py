"""Timers, alarms and reminders in the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs
import msgspec
from sqlalchemy import Connection, delete, func, select, update

from xiaozhi.errors import Refused, ServiceError
from xiaozhi.services.store.records import Full, Reminder
from xiaozhi.services.store.tables import devices, reminders

_KEPT = [column for column in reminders.c if column is not reminders.c.held_until]


@attrs.frozen
class ReminderBook:
    """Reads and writes them in one transaction. See `Store` for what each verb does."""

    on: Connection

    def add(self, reminder: Reminder, most: int) -> None:
        """Keep one."""
        # Locked, where rows can be: two that come at once are counted one after the other.
        owner = select(devices.c.id).where(devices.c.id == reminder.device_id).with_for_update()
        if self.on.execute(owner).one_or_none() is None:
            raise Refused("store", "the device is not known")
        own = select(func.count()).where(reminders.c.device_id == reminder.device_id)
        if self.on.execute(own).scalar_one() >= most:
            raise Full("store", f"the device has {most} reminders already")
        self.on.execute(reminders.insert().values(**msgspec.structs.asdict(reminder)))

    def of(self, device_ids: Sequence[str]) -> list[list[Reminder] | ServiceError]:
        """Tell those of each device, in the order they are due."""
        found: dict[str, list[Reminder]] = {}
        statement = select(*_KEPT).where(reminders.c.device_id.in_(set(device_ids)))
        for row in self.on.execute(statement.order_by(reminders.c.due, reminders.c.id)):
            found.setdefault(row.device_id, []).append(Reminder(**row._mapping))
        return [found.get(each, []) for each in device_ids]

    def claim(self, ids: Collection[str], now: float, until: float) -> frozenset[str]:
        """Hold them, those that nobody holds."""
        free = reminders.c.id.in_(ids) & (reminders.c.held_until <= now)
        held = update(reminders).where(free).values(held_until=until).returning(reminders.c.id)
        return frozenset(self.on.execute(held).scalars())

    def settle(self, reminder: Reminder, then: float | None) -> None:
        """Be done with one, or go on with its next time."""
        same = (reminders.c.id == reminder.id) & (reminders.c.due == reminder.due)
        if then is None:
            self.on.execute(delete(reminders).where(same))
        else:
            self.on.execute(update(reminders).where(same).values(due=then, held_until=0.0))

    def cancel(self, device_id: str, ids: Collection[str]) -> int:
        """Delete some of a device."""
        own = (reminders.c.device_id == device_id) & reminders.c.id.in_(ids)
        return self.on.execute(delete(reminders).where(own)).rowcount
