"""Memory: what is known of a device's user. The interface of an engine, and the one in use."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Protocol

import attrs
from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError
from xiaozhi.services.engine import Workshop
from xiaozhi.services.memory.words import gone
from xiaozhi.services.store import Recollection, SessionMemory, Store

RECALLING: Final = 1.5
"""Seconds an answer waits for what is known; then it is made without."""
FORGETTING: Final = 10.0
"""Seconds until the user is told that forgetting failed."""
LEARNING: Final = 180.0
"""Seconds that learning from one session may take."""

Thinking = Callable[[str, str, str], AsyncGenerator[str, None]]
"""Has a mind write: takes an instruction, a text and a language; yields pieces.

It raises Absent if there is no mind that can, and ServiceError if one fails.
"""


@attrs.frozen
class Desk(Workshop):
    """What a memory may use of the house."""

    store: Store
    think: Thinking
    now: Callable[[], float]
    """UTC, in seconds since 1970."""


class Memory(Protocol):
    """An engine of this kind, made with its settings and a `Desk`: see `services.engine`.

    What it knows of a device is for that device alone. It fails with ServiceError.
    """

    def recall(self, device: str) -> Deferred[Recollection]:
        """Tell what is known of the device's user."""

    def learn(self, memory: SessionMemory, final: bool = False) -> Deferred[None]:
        """Learn from a session, in the background, as often as it is told: once.

        It is told again if this fails; if it is `final`, only what cannot fail should be tried.
        """

    def forget(self, device: str, since: float | None, about: str = "") -> Deferred[int]:
        """Drop what was said `since` then (epoch seconds; None for ever), or only `about` that.

        Tells how many things that were.
        """


class Eraser(Protocol):
    """What forgetting needs of the store."""

    def erase(self, device_id: str, gone: Callable[[str, float], bool]) -> Deferred[int]:
        """Drop facts, digests and what was said, where `gone(text, time)`, and count them."""


@attrs.frozen
class Nothing:
    """No memory: nothing is learnt, and nothing is known."""

    def recall(self, device: str) -> Deferred[Recollection]:
        """Know nothing."""
        return succeed(Recollection())

    def learn(self, memory: SessionMemory, final: bool = False) -> Deferred[None]:
        """Learn nothing."""
        return succeed(None)

    def forget(self, device: str, since: float | None, about: str = "") -> Deferred[int]:
        """Have nothing to forget."""
        return succeed(0)


class Memories(MultiService):
    """The memory in use, as everybody else sees it: it answers in time, or fails."""

    log = Logger()

    def __init__(self, clock: Any, store: Eraser, written: Callable[[], Deferred[Any]]) -> None:
        """Begin with none. `written` waits until the sessions that are over are in the `store`."""
        super().__init__()
        self._clock = clock
        self._store = store
        self._written = written
        self._engine: Memory = Nothing()
        self._failing = False

    def use(self, engine: Memory) -> None:
        """Go on with this one."""
        before, self._engine = self._engine, engine
        for one in (before, engine):
            service: Any = one
            if not IService.providedBy(service):
                continue
            if one is engine and service.parent is not self:
                service.setServiceParent(self)
            elif one is not engine and service.parent is self:
                service.disownServiceParent()

    def recall(self, device: str) -> Deferred[Recollection]:
        """Tell what is known of a device's user; nothing if that cannot be told soon."""
        told = self._bounded(RECALLING, lambda: self._engine.recall(device))

        def forgotten(failure: Failure) -> Recollection:
            failure.trap(ServiceError)
            if not self._failing:
                self.log.warn("nothing is remembered: {why}", why=failure.value)
            self._failing = True
            return Recollection()

        def remembered(known: Recollection) -> Recollection:
            self._failing = False
            return known

        return told.addCallbacks(remembered, forgotten)

    def learn(self, memory: SessionMemory, final: bool = False) -> Deferred[None]:
        """Learn from a session; fails with ServiceError."""
        return self._bounded(LEARNING, lambda: self._engine.learn(memory, final))

    def forget(self, device: str, since: float | None = None, about: str = "") -> Deferred[int]:
        """Forget what was said since then or ever, or only about something, and count it.

        The words of sessions go whatever the engine is, even if it is none. Fails with
        ServiceError. A session under way is not touched: that is its own matter.
        """

        async def forget() -> int:
            await self._written()  # or what is on its way would come afterwards
            erased = await self._store.erase(device, gone(since, about))
            return erased + await self._engine.forget(device, since, about)

        return self._bounded(FORGETTING, lambda: Deferred.fromCoroutine(forget()))

    def _bounded(self, patience: float, ask: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """Ask the engine, which may be anybody's: whatever goes wrong is a ServiceError."""
        return maybeDeferred(ask).addTimeout(patience, self._clock).addErrback(self._named)

    def _named(self, failure: Failure) -> Failure:
        if failure.check(ServiceError, CancelledError):
            return failure
        if failure.check(TimedOut):
            return Failure(ServiceError("memory", "it took too long"))
        self.log.failure("the memory has a mistake", failure)
        return Failure(ServiceError("memory", "a mistake of its own"))
