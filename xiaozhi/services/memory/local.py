"""Facts about the user and digests of earlier talks, in the store, learnt by a language model.

Where no model can, patterns find what the user said of themselves (name, home, likes, allergies),
in Chinese and English.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Final, TypeVar

from msgspec import Meta
from twisted.internet.defer import Deferred

from xiaozhi import languages
from xiaozhi.errors import Absent, ServiceError
from xiaozhi.services import engine
from xiaozhi.services.deadline import Deadlines, gathered
from xiaozhi.services.memory import Desk, _extract
from xiaozhi.services.memory._notes import (
    INSTRUCTION,
    LONGEST_FACT,
    Note,
    Notes,
    question,
    understood,
)
from xiaozhi.services.memory.words import content, gone
from xiaozhi.services.store import Digest, Fact, Recollection, SessionMemory

T = TypeVar("T")

DEADLINES: Final = Deadlines(first=60.0, gap=30.0, whole=120.0)
LONGEST: Final = 20_000
"""Characters of an answer after which it will never end."""


class Settings(engine.Settings, frozen=True):
    """How much is remembered, and how it is learnt."""

    model: Annotated[
        bool,
        Meta(description="Have a language model take notes; if not, only patterns do."),
    ] = True
    facts: Annotated[
        int, Meta(description="Facts kept of a user; the oldest goes first.", ge=0, le=200)
    ] = 50
    talks: Annotated[
        int, Meta(description="Earlier talks of which a digest is kept.", ge=0, le=100)
    ] = 10


class Memory:
    """Keeps what it learns in the store."""

    def __init__(self, settings: Settings, workshop: Desk) -> None:
        """Learn by the mind of `workshop`."""
        self._settings = settings
        self._desk = workshop

    def recall(self, device: str) -> Deferred[Recollection]:
        """Look it up."""
        return self._desk.store.recollection(device)

    def learn(self, memory: SessionMemory, final: bool = False) -> Deferred[None]:
        """Learn from a session, by the patterns alone if it is `final`."""
        return Deferred.fromCoroutine(self._learn(memory, final))

    def forget(self, device: str, since: float | None, about: str = "") -> Deferred[int]:
        """Erase it, and the sessions' words it came from."""
        return self._desk.store.erase(device, gone(since, about))

    async def _learn(self, memory: SessionMemory, final: bool) -> None:
        known = await self._desk.store.recollection(memory.device_id)
        noted = None if final else await self._noted(known, memory)
        if noted is None:
            noted = await self._desk.pool.run(_extracted, memory)
        facts = _with(known.facts, noted.notes)
        # It may be learnt from again, what was erased from it left out.
        talks = [talk for talk in known.digests if talk.ended != memory.ended]
        if noted.talk:
            talks.append(Digest(noted.talk, memory.ended))
        talks.sort(key=attrgetter("ended"))
        more = Recollection(
            _last(facts, self._settings.facts),
            _last(talks, self._settings.talks),
            known.version,
        )
        if not await self._desk.store.learn(memory, more, self._desk.now()):
            raise ServiceError("memory", "something was erased meanwhile")

    async def _noted(self, known: Recollection, memory: SessionMemory) -> Notes | None:
        """Have a mind take notes; None if there is none, or it answers nothing of use.

        Raises ServiceError if it fails.
        """
        if not self._settings.model:
            return None
        asked = await self._desk.pool.run(question, known.facts, memory.entries)
        said = "\n".join(entry.text for entry in memory.entries if entry.role == "user")
        thoughts = self._desk.think(INSTRUCTION, asked, languages.main(said))
        try:
            answer = await gathered(thoughts, self._desk.reactor, "memory", DEADLINES, LONGEST)
        except Absent:
            return None
        if answer is None:
            return None
        told = await self._desk.pool.run(understood, answer, memory.entries)
        if told is None or told.talk:
            return told
        return Notes(told.notes, _extract.digest(memory.entries))


def _extracted(memory: SessionMemory) -> Notes:
    facts = _extract.facts(memory.entries)
    notes = (Note(fact) for fact in facts if len(fact.text) <= LONGEST_FACT)
    return Notes(tuple(notes), _extract.digest(memory.entries))


def _with(known: Sequence[Fact], noted: Sequence[Note]) -> Sequence[Fact]:
    """Add what was noted; what is not true any more goes, and what is told twice."""
    untrue = {place for note in noted for place in note.replaces}
    facts = [fact for place, fact in enumerate(known) if place not in untrue]
    for note in noted:
        facts = [fact for fact in facts if not _same(fact, note.fact)]
        facts.append(note.fact)
    return facts


def _same(fact: Fact, other: Fact) -> bool:
    """Say whether two facts tell the same, or contradict each other."""
    if fact.topic and fact.topic == other.topic:
        return True
    return fact.text == other.text or (
        bool(words := content(fact.text)) and words == content(other.text)
    )


def _last(items: Sequence[T], most: int) -> tuple[T, ...]:
    return tuple(items[max(0, len(items) - most) :])
