"""What is known of the devices' users, in the database."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import msgspec
from sqlalchemy import Connection, select

from xiaozhi.services.store.memories import MemoryBook, encodable
from xiaozhi.services.store.records import Digest, Fact, Recollection, SessionMemory
from xiaozhi.services.store.tables import recollections
from xiaozhi.services.store.upsert import insert

_FACTS = msgspec.json.Decoder(tuple[Fact, ...])
_DIGESTS = msgspec.json.Decoder(tuple[Digest, ...])


@attrs.frozen
class RecollectionBook:
    """Reads and writes them in one transaction. See `Store` for what each verb does."""

    on: Connection

    def get(self, device_id: str, to_change: bool = False) -> Recollection:
        """Tell what is known; nobody else changes it meanwhile if it is `to_change`."""
        statement = select(recollections).where(recollections.c.device_id == device_id)
        if to_change:
            statement = statement.with_for_update()  # SQLite has one writer anyway
        row = self.on.execute(statement).one_or_none()
        if row is None:
            return Recollection()
        return Recollection(_FACTS.decode(row.facts), _DIGESTS.decode(row.digests), row.version)

    def learn(self, memory: SessionMemory, known: Recollection, now: float) -> bool:
        """Keep what is known after a session, if nothing has changed since it was looked up."""
        # In this order, as when something is erased, or two could wait for each other.
        sessions = MemoryBook(self.on)
        waits = sessions.waits(memory)
        before = self.get(memory.device_id, to_change=True)
        if not waits or before.version != known.version:
            return False
        self._put(memory.device_id, known)
        return sessions.learnt(memory, now)

    def erase(self, device_id: str, gone: Callable[[str, float], bool]) -> int:
        """Drop what is to be `gone`, by its text and its time; tell how much that was."""
        book = MemoryBook(self.on)
        sessions = book.erase(device_id, gone)
        known = self.get(device_id, to_change=True)
        facts = tuple(fact for fact in known.facts if not gone(fact.text, fact.said_at))
        digests = tuple(one for one in known.digests if not gone(one.text, one.ended))
        # Also where nothing is known: what is being learnt now was told before this.
        if known.version or book.count(device_id):
            self._put(device_id, Recollection(facts, digests, known.version))
        return sessions + len(known.facts) - len(facts)

    def _put(self, device_id: str, known: Recollection) -> None:
        facts = [
            (encodable(fact.text), fact.said_at, encodable(fact.topic)) for fact in known.facts
        ]
        digests = [(encodable(digest.text), digest.ended) for digest in known.digests]
        told = {
            "facts": msgspec.json.encode([Fact(*fact) for fact in facts]).decode(),
            "digests": msgspec.json.encode([Digest(*digest) for digest in digests]).decode(),
            "version": known.version + 1,
        }
        statement = insert(self.on.dialect.name, recollections).values(device_id=device_id, **told)
        self.on.execute(
            statement.on_conflict_do_update(index_elements=[recollections.c.device_id], set_=told)
        )
