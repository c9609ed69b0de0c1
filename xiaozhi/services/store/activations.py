"""Activations in the database: the codes by which devices get their owners."""

from __future__ import annotations

import re
import secrets

import attrs
from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from xiaozhi.errors import Refused, ServiceError
from xiaozhi.services.store.devices import DeviceBook
from xiaozhi.services.store.records import Activation, DeviceRecord
from xiaozhi.services.store.tables import activations, devices
from xiaozhi.services.store.upsert import insert

LIFETIME = 86400.0
"""Seconds for which a code can be used."""
_TRIES = 30
_CODE = re.compile(r"\d{6}", re.ASCII)


def draw() -> str:
    """Draw a code; it may be taken."""
    return f"{secrets.randbelow(10**6):06}"


@attrs.frozen
class ActivationBook:
    """Reads and writes them in one transaction. See `Store` for what each verb does."""

    on: Connection

    def code_for(self, device_id: str, now: float) -> Activation:
        """Find or make the code of a device."""
        device = DeviceBook(self.on).get(device_id)
        if device is None:
            raise Refused("store", f"there is no device {device_id}")
        # All that are too old: the codes of others are free again as well.
        self.on.execute(delete(activations).where(_pending(), activations.c.made_at <= _old(now)))
        own = select(
            activations.c.device_id,
            activations.c.code,
            activations.c.challenge,
            activations.c.made_at,
        ).where(activations.c.device_id == device_id)
        for _ in range(_TRIES):
            # Whoever comes first: a call at the same time may have made one, or taken the code.
            row = self.on.execute(own).one_or_none()
            if row is not None:
                return Activation(**row._mapping)
            self.on.execute(
                insert(self.on.dialect.name, activations)
                .values(
                    device_id=device_id,
                    code=draw(),
                    challenge=secrets.token_urlsafe(32),
                    made_at=now,
                    bound_at=device.activated_at,
                )
                .on_conflict_do_nothing()
            )
        raise ServiceError("store", "no activation code is free")

    def activate(self, code_or_device: str, now: float) -> DeviceRecord | None:
        """Activate a device."""
        device_id = code_or_device
        if _CODE.fullmatch(code_or_device):
            # Never the id of a device that calls itself so.
            device_id = self._holder(code_or_device, now)
        own = activations.c.device_id == device_id
        self.on.execute(update(activations).where(own, _pending()).values(bound_at=now))
        self.on.execute(
            update(devices)
            .where(devices.c.id == device_id)
            .values(activated_at=func.coalesce(devices.c.activated_at, now))
        )
        return DeviceBook(self.on).get(device_id)

    def _holder(self, code: str, now: float) -> str:
        """Tell whose `code` is: who waits with it, else who used it last; "" if nobody."""
        usable = ~_pending() | (activations.c.made_at > _old(now))
        holders = (
            select(activations.c.device_id)
            .where(activations.c.code == code, usable)
            .order_by(_pending().desc(), activations.c.bound_at.desc())
        )
        return self.on.execute(holders).scalars().first() or ""


def _pending() -> ColumnElement[bool]:
    return activations.c.bound_at.is_(None)


def _old(now: float) -> float:
    return now - LIFETIME
