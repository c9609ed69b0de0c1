"""Memories of sessions in the database."""

from __future__ import annotations

import attrs
import msgspec
from sqlalchemy import Connection, select

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
        return [
            SessionMemory(**(dict(row._mapping) | {"entries": _ENTRIES.decode(row.entries)}))
            for row in self.on.execute(statement)
        ]


def _text(entries: tuple[Entry, ...]) -> str:
    # Half a surrogate pair is no text, and has no UTF-8. (NUL is escaped in JSON.)
    whole = [[part.encode("utf-8", "replace").decode() for part in entry] for entry in entries]
    return msgspec.json.encode(whole).decode()
