"""Memories of sessions in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec
from sqlalchemy import Connection, Row, delete, func, select, update

from xiaozhi.dialogue import spared
from xiaozhi.services.store.devices import DeviceBook
from xiaozhi.services.store.records import Entry, SessionMemory
from xiaozhi.services.store.tables import memories
from xiaozhi.services.store.upsert import insert

_ENTRIES = msgspec.json.Decoder(tuple[Entry, ...])


@attrs.frozen
class MemoryBook:
    """Reads and writes them in one transaction. See `Store` for what each verb does."""

    on: Connection

    def remember(self, memory: SessionMemory) -> None:
        """Keep a memory."""
        if DeviceBook(self.on).get(memory.device_id) is None:
            return
        said = {"ended": memory.ended, "entries": _text(memory.entries)}
        statement = insert(self.on.dialect.name, memories).values(
            session_id=memory.session_id, device_id=memory.device_id, began=memory.began, **said
        )
        self.on.execute(
            statement.on_conflict_do_update(
                index_elements=[memories.c.session_id],
                set_=said,
                where=memories.c.device_id == memory.device_id,
            )
        )

    def newest(self, device_id: str, limit: int) -> list[SessionMemory]:
        """Recall the last ones of a device."""
        statement = (
            select(memories)
            .where(memories.c.device_id == device_id)
            .order_by(memories.c.ended.desc(), memories.c.session_id)
            .limit(limit)
        )
        return [_memory(row) for row in self.on.execute(statement)]

    def count(self, device_id: str) -> int:
        """Tell how many there are of a device."""
        own = select(func.count()).where(memories.c.device_id == device_id)
        return int(self.on.execute(own).scalar_one())

    def unlearnt(self, limit: int) -> list[SessionMemory]:
        """Give the earliest from which nobody has learnt yet."""
        statement = (
            select(memories)
            .where(memories.c.learnt_at.is_(None))
            .order_by(memories.c.ended, memories.c.session_id)
            .limit(limit)
        )
        return [_memory(row) for row in self.on.execute(statement)]

    def waits(self, memory: SessionMemory) -> bool:
        """Say whether nobody has learnt from one, and it is as it was; it stays so till the end."""
        statement = select(memories).where(
            memories.c.session_id == memory.session_id, memories.c.learnt_at.is_(None)
        )
        row = self.on.execute(statement.with_for_update()).one_or_none()
        return row is not None and _memory(row) == memory

    def learnt(self, memory: SessionMemory, now: float) -> bool:
        """Note that somebody has learnt from one, if it is still as it was."""
        if not self.waits(memory):
            return False
        this = memories.c.session_id == memory.session_id
        self.on.execute(update(memories).where(this).values(learnt_at=now))
        return True

    def erase(self, device_id: str, gone: Callable[[str, float], bool]) -> int:
        """Drop what is to be `gone`, by its text and its time; tell of how many sessions.

        What is left of one is learnt from again, since what was learnt of it may be gone, too.
        """
        own = select(memories).where(memories.c.device_id == device_id)
        changed = 0
        for memory in [_memory(row) for row in self.on.execute(own.with_for_update())]:
            left = _left(memory, gone)
            if left == memory.entries:
                continue
            changed += 1
            this = memories.c.session_id == memory.session_id
            if any(entry.role == "user" for entry in left):
                said = {"entries": _text(left), "learnt_at": None}
                self.on.execute(update(memories).where(this).values(said))
            else:
                self.on.execute(delete(memories).where(this))
        return changed


def _memory(row: Row[Any]) -> SessionMemory:
    values = dict(row._mapping) | {"entries": _ENTRIES.decode(row.entries)}
    del values["learnt_at"]
    return SessionMemory(**values)


def _left(memory: SessionMemory, gone: Callable[[str, float], bool]) -> tuple[Entry, ...]:
    entries = memory.entries
    return tuple(spared(entries, lambda entry: gone(entry.text, entry.at or memory.ended)))


def encodable(text: str) -> str:
    """Make text of what may have half a surrogate pair, which has no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _text(entries: tuple[Entry, ...]) -> str:
    # NUL is escaped in JSON.
    return msgspec.json.encode(
        [(encodable(entry.role), encodable(entry.text), entry.at) for entry in entries]
    ).decode()
