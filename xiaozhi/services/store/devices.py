"""Devices in the database."""

from __future__ import annotations

from typing import Any

import attrs
from sqlalchemy import Connection, Row, delete, func, select, update

from xiaozhi.services.store.records import DeviceRecord, Seen
from xiaozhi.services.store.tables import devices, tokens
from xiaozhi.services.store.upsert import insert

_FACTS = ("client_id", "board", "firmware", "language", "address")
_LONGEST = 200
"""Letters of a fact that are kept."""


@attrs.frozen
class DeviceBook:
    """Reads and writes them in one transaction. See `Store` for what each verb does."""

    on: Connection

    def seen(self, device: Seen, now: float) -> DeviceRecord:
        """Note what a device tells of itself."""
        told = {fact: _printable(getattr(device, fact)) for fact in _FACTS}
        statement = insert(self.on, devices).values(
            id=device.id, first_seen=now, last_seen=now, **told
        )
        known = {
            fact: func.coalesce(func.nullif(statement.excluded[fact], ""), devices.c[fact])
            for fact in _FACTS
        }
        row = self.on.execute(
            statement.on_conflict_do_update(
                index_elements=[devices.c.id], set_=known | {"last_seen": now}
            ).returning(devices)
        ).one()
        return _record(row)

    def get(self, device_id: str) -> DeviceRecord | None:
        """Look a device up."""
        row = self.on.execute(select(devices).where(devices.c.id == device_id)).one_or_none()
        return None if row is None else _record(row)

    def all(self) -> list[DeviceRecord]:
        """List them."""
        newest = select(devices).order_by(devices.c.last_seen.desc(), devices.c.id)
        return [_record(row) for row in self.on.execute(newest)]

    def count(self) -> int:
        """Count them."""
        return self.on.execute(select(func.count()).select_from(devices)).scalar_one()

    def block(self, device_id: str, blocked: bool, now: float) -> bool:
        """Block one, or no more."""
        since = func.coalesce(devices.c.blocked_at, now) if blocked else None
        return self._update(device_id, blocked_at=since)

    def rename(self, device_id: str, name: str) -> bool:
        """Name one."""
        return self._update(device_id, name=_printable(name))

    def forget(self, device_id: str) -> bool:
        """Delete one; its activation and its memories go with it, by their foreign keys."""
        own = (tokens.c.kind == "device") & (tokens.c.subject == device_id)
        self.on.execute(delete(tokens).where(own))
        return self.on.execute(delete(devices).where(devices.c.id == device_id)).rowcount > 0

    def _update(self, device_id: str, **values: Any) -> bool:
        statement = update(devices).where(devices.c.id == device_id).values(**values)
        return self.on.execute(statement).rowcount > 0


def _record(row: Row[Any]) -> DeviceRecord:
    values = dict(row._mapping)
    return DeviceRecord(blocked=values.pop("blocked_at") is not None, **values)


def _printable(text: str) -> str:
    """Keep what a person could read, which every database takes."""
    return "".join(sign for sign in text[:_LONGEST] if sign.isprintable())
