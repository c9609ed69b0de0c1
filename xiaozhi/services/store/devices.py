"""Devices in the database."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import attrs
from sqlalchemy import (
    BindParameter,
    Connection,
    Executable,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)

from xiaozhi.errors import ServiceError
from xiaozhi.services.store.arrivals import Arrival
from xiaozhi.services.store.locks import REGISTRATION, lock
from xiaozhi.services.store.records import (
    FACTS,
    TICK,
    DeviceRecord,
    Full,
    Standing,
    printable,
)
from xiaozhi.services.store.tables import devices, tokens, void_tokens
from xiaozhi.services.store.upsert import insert

# What is asked when a device comes is made once: that takes as long as to ask it.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_SOME = select(devices).where(devices.c.id.in_(_IDS))
_HELD_AGAINST = (
    select(devices, void_tokens.c.fingerprint).outerjoin(void_tokens).where(devices.c.id.in_(_IDS))
)


@cache
def _noting(dialect: str) -> Executable:
    """Make the statement that notes devices."""
    statement = insert(dialect, devices)
    changed = {name: statement.excluded[name] for name in ("last_seen", *FACTS)}
    return statement.on_conflict_do_update(index_elements=[devices.c.id], set_=changed)


@attrs.frozen
class DeviceBook:
    """Reads and writes them in one transaction. See `Store` for what each verb does."""

    on: Connection

    def seen(self, arrivals: Sequence[Arrival]) -> list[DeviceRecord | ServiceError]:
        """Note what devices tell of themselves, each with the time and how many there may be.

        That is a few statements for all of them, since many come at once; one if there is no news.
        """
        known = self._known(arrivals)
        count = 0
        if any(most is not None and seen.id not in known for seen, _, most in arrivals):
            lock(self.on, REGISTRATION)
            known, count = self._known(arrivals), self.count()  # another server may have had it
        noted: list[DeviceRecord | ServiceError] = []
        news: dict[str, DeviceRecord] = {}
        for device, now, most in arrivals:
            before = known.get(device.id)
            if before is None:
                if most is not None and count >= most:
                    why = f"there are {most} devices already (server.max_devices)"
                    noted.append(Full("store", why))
                    continue
                count += 1
                before = DeviceRecord(id=device.id, first_seen=now, last_seen=-math.inf)
            told = before.told(device, now)
            if told is not before:
                known[device.id] = news[device.id] = told
            noted.append(told)
        self._keep(news)
        return noted

    def _known(self, arrivals: Sequence[Arrival]) -> dict[str, DeviceRecord]:
        rows = self.on.execute(_SOME, {"ids": list({device.id for device, _, _ in arrivals})})
        return {row.id: _record(row._asdict()) for row in rows}

    def _keep(self, records: Mapping[str, DeviceRecord]) -> None:
        """Write what was told; always in one order, or two servers could wait for each other."""
        if records:
            kept = ("id", "first_seen", "last_seen", *FACTS)
            self.on.execute(
                _noting(self.on.dialect.name),
                [{name: getattr(records[key], name) for name in kept} for key in sorted(records)],
            )

    def get(self, device_id: str) -> DeviceRecord | None:
        """Look a device up."""
        row = self.on.execute(select(devices).where(devices.c.id == device_id)).one_or_none()
        return None if row is None else _record(row._asdict())

    def page(self, after: str, limit: int) -> list[DeviceRecord]:
        """List some."""
        # By their ids: these stay, so that none is missed or told twice from page to page.
        some = select(devices).where(devices.c.id > after).order_by(devices.c.id).limit(limit)
        return [_record(row._asdict()) for row in self.on.execute(some)]

    def count(self) -> int:
        """Count them."""
        return self.on.execute(select(func.count()).select_from(devices)).scalar_one()

    def block(self, device_id: str, blocked: bool, now: float) -> bool:
        """Block one, or no more."""
        since = func.coalesce(devices.c.blocked_at, now) if blocked else None
        return self._update(device_id, blocked_at=since)

    def rename(self, device_id: str, name: str) -> bool:
        """Name one."""
        return self._update(device_id, name=printable(name))

    def keep_role(self, device_id: str, role: str) -> bool:
        """Have one be talked with in a role."""
        return self._update(device_id, role=printable(role))

    def forget(self, device_id: str) -> bool:
        """Delete one; its activation and its memories go with it, by their foreign keys."""
        own = (tokens.c.kind == "device") & (tokens.c.subject == device_id)
        self.on.execute(delete(tokens).where(own))
        return self.on.execute(delete(devices).where(devices.c.id == device_id)).rowcount > 0

    def standings(self, device_ids: Sequence[str]) -> list[Standing | ServiceError]:
        """Tell what is held against the tokens of each."""
        found: dict[str, Standing] = {}
        for row in self.on.execute(_HELD_AGAINST, {"ids": list(set(device_ids))}):
            values = row._asdict()
            revoked = {values.pop("fingerprint")} - {None}
            if row.id in found:
                revoked |= found[row.id].revoked
            found[row.id] = Standing(_record(values).not_before, frozenset(revoked))
        return [found.get(each, Standing(math.inf)) for each in device_ids]

    def void_tokens(self, device_id: str, now: float) -> bool:
        """Revoke all tokens it was handed."""
        # What was made at the very moment from which they are good lies a little after it.
        void, activated = devices.c.tokens_void_at, devices.c.activated_at
        until = case((void >= now, void + TICK), (activated >= now, activated + TICK), else_=now)
        return self._update(device_id, tokens_void_at=until)

    def void_token(self, device_id: str, fingerprint: str, now: float) -> bool:
        """Revoke one of them."""
        if self.get(device_id) is None:
            return False
        statement = insert(self.on.dialect.name, void_tokens).values(
            device_id=device_id, fingerprint=fingerprint, revoked_at=now
        )
        self.on.execute(statement.on_conflict_do_nothing())
        return True

    def _update(self, device_id: str, **values: Any) -> bool:
        statement = update(devices).where(devices.c.id == device_id).values(**values)
        return self.on.execute(statement).rowcount > 0


def _record(values: dict[str, Any]) -> DeviceRecord:
    return DeviceRecord(blocked=values.pop("blocked_at") is not None, **values)
