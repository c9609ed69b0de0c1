"""Learning from sessions that are over, in the background, one at a time.

The store is the queue: it tells from which sessions nobody has learnt yet. So a kill loses
nothing, and what this process does not get done, the next one does. While the mind fails, it is
left alone for a while; what cannot wait so long is learnt by what needs no mind.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from xiaozhi.errors import ServiceError
from xiaozhi.scope import about
from xiaozhi.services.store import SessionMemory

SETTLING: Final = 5.0
"""Seconds after the start: devices that come back are served first."""
BATCH: Final = 8
PAUSES: Final = (5.0, 30.0)
"""Seconds after a failure until a session is tried again; then it is learnt without a mind."""
REST: Final = 600.0
"""Seconds for which the mind is left alone after that."""
OLD: Final = 24 * 3600.0
"""Seconds that a session waits for a mind, however many are before it."""
STORE_REST: Final = 60.0
"""Seconds until the store is asked again after it failed."""


class Learner(Protocol):
    """What is needed of the memory."""

    def learn(self, memory: SessionMemory, final: bool = False) -> Deferred[None]:
        """Learn from a session; fails with ServiceError."""


class Shelf(Protocol):
    """What is needed of the store."""

    def unlearnt(self, limit: int) -> Deferred[list[SessionMemory]]:
        """Give the earliest sessions from which nobody has learnt."""

    def learnt(self, memory: SessionMemory, now: float) -> Deferred[bool]:
        """Note that somebody has learnt from a session, if it is still as it was."""


class Learning(Service):
    """Has the memory learn from each session once."""

    log = Logger()

    def __init__(self, memory: Learner, store: Shelf, clock: Any, now: Any) -> None:
        """Learn by `memory` from what is in the `store`; `now` tells the seconds since 1970."""
        self._memory = memory
        self._store = store
        self._clock = clock
        self._now = now
        self._work: Deferred[None] | None = None
        self._more = False
        """Whether something came while the work was under way."""
        self._trouble: tuple[str, int] = ("", 0)
        """The session that was tried last, and how often it failed."""
        self._mind_rests_until = 0.0

    def startService(self) -> None:
        """Begin with what is left from before."""
        super().startService()
        self._begin(SETTLING)

    def stopService(self) -> None:
        """Stop. What is under way is done again after the next start."""
        super().stopService()
        if self._work is not None:
            self._work.cancel()

    def stir(self) -> None:
        """Look whether there is something to learn from: the store may have got more."""
        if self._work is None and self.running:
            self._begin(0.0)
        else:
            self._more = True

    def _begin(self, delay: float) -> None:
        self._more = False
        with about(None):  # it is no longer about the session that has brought it
            self._work = Deferred.fromCoroutine(self._learn_all(delay))
        self._work.addErrback(lambda failure: failure.trap(CancelledError))
        self._work.addErrback(lambda failure: self.log.failure("learning: our fault", failure))
        self._work.addBoth(self._done)

    def _done(self, _: object) -> None:
        self._work = None
        if self._more and self.running:
            self._begin(0.0)

    async def _learn_all(self, delay: float) -> None:
        await deferLater(self._clock, delay)
        while True:
            try:
                waiting = await self._store.unlearnt(BATCH)
                for memory in waiting:
                    pause = await self._learn(memory)
                    if pause:
                        break
            except ServiceError:  # the store has said so
                pause = STORE_REST
            else:
                if not waiting:
                    return
            if pause:
                await deferLater(self._clock, pause)

    async def _learn(self, memory: SessionMemory) -> float:
        """Learn from a session; tell how long to pause if that failed. Raises what the store does.

        In the end it counts as learnt from, whatever comes of it, so that it holds nobody up.
        """
        final = self._clock.seconds() < self._mind_rests_until or memory.ended < self._now() - OLD
        failures = self._trouble[1] if self._trouble[0] == memory.session_id else 0
        try:
            await self._memory.learn(memory, final or failures >= len(PAUSES))
        except ServiceError as error:
            self._trouble = memory.session_id, failures + 1
            if failures < len(PAUSES):
                self.log.info(
                    "{session}: not learnt yet: {why}", session=memory.session_id, why=error.why
                )
                return PAUSES[failures]
            if error.stage == "store":
                raise
            self.log.warn("{session}: not learnt: {why}", session=memory.session_id, why=error.why)
        else:
            if failures >= len(PAUSES):
                self._mind_rests_until = self._clock.seconds() + REST
            self._trouble = "", 0
        await self._store.learnt(memory, self._now())
        self.log.info("{session} is learnt from", session=memory.session_id)
        return 0.0
