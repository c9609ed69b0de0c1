"""The server as a whole: it starts, says so, and stops in order and in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from xiaozhi.ending import Ending
from xiaozhi.factory import Doors
from xiaozhi.services.journal import Journal
from xiaozhi.services.systemd import Handed, Manager
from xiaozhi.services.web.listening import Listening

ANSWERS, GOODBYES, MEMORIES, TREE, WHOLE = 0.5, 0.65, 0.75, 0.9, 0.95
"""Shares of the grace after which something has to be over: the answers under way, the
connections, the move of what was said into the store, all services, the process."""


@attrs.frozen
class Parts:
    """What a server is made of, as far as it matters for its start and its end."""

    tree: IService
    """All services. The first to start, the store, is the last to stop."""
    listening: Sequence[Listening]
    doors: Doors
    journal: Journal
    settled: Callable[[], Deferred[None]]
    """Waits until the engines are as ready as they will be for now."""

    @property
    def sockets(self) -> list[Handed]:
        """The open ports, for who comes after us."""
        return [one for port in self.listening for one in port.sockets]


class Server(MultiService):
    """Nobody new is taken first when it stops; what serves the last answers ends last."""

    log = Logger()

    def __init__(
        self,
        parts: Parts,
        clock: Any,
        grace: float,
        ending: Ending,
        manager: Manager,
        cause: Callable[[], str] = lambda: "as ordered",
    ) -> None:
        """Stop within `grace` seconds; tell the service `manager`, and the log the `cause`."""
        super().__init__()
        self._parts = parts
        self._clock = clock
        self._grace = grace
        self._ending = ending
        self._manager = manager
        self._cause = cause
        parts.tree.setServiceParent(self)

    @property
    def listening(self) -> Sequence[Listening]:
        """The ports."""
        return self._parts.listening

    def startService(self) -> None:
        """Start everything; the manager is told when it is of use."""
        super().startService()
        self._clock.addSystemEventTrigger("after", "shutdown", self._ending.now)
        if self._manager.there:
            self._parts.settled().addCallback(self._ready)

    def _ready(self, _: None) -> None:
        if self.running:
            ports = ", ".join(str(port.port) for port in self.listening)
            self._manager.ready(f"listening on port {ports}")

    def stopService(self) -> Deferred[None]:
        """Take nobody new, let answers end, say goodbye, stop the rest: in time."""
        self.running = 0
        self._ending.within(WHOLE * self._grace)
        began = self._clock.seconds()
        self.log.info("The server stops: {cause}", cause=self._cause())
        stopping = Deferred.fromCoroutine(self._stop(began))
        stopping.addTimeout(TREE * self._grace, self._clock, onTimeoutCancel=_enough)
        return stopping.addCallback(self._stopped, began)

    def _stopped(self, _: None, began: float) -> None:
        seconds = self._clock.seconds() - began
        self.log.info("The server has stopped, after {seconds:.1f} s", seconds=seconds)

    async def _stop(self, began: float) -> None:
        """Stop, since `began`."""

        def by(share: float, work: Deferred[None]) -> Deferred[None]:
            left = max(0.0, began + share * self._grace - self._clock.seconds())
            return work.addTimeout(left, self._clock, onTimeoutCancel=_enough)

        doors = self._parts.doors
        self._manager.stopping("saying goodbye")
        drained = doors.drain(ANSWERS * self._grace)
        for port in self.listening:
            port.kept = port.kept or self._ending.anew
            if port.kept:  # who calls now waits for who comes after us; elsewhere, is told 503
                await maybeDeferred(port.stopService)
        await drained
        await by(GOODBYES, doors.stopService())
        await by(MEMORIES, self._parts.journal.moved())
        # Who is late is not waited for, and not disturbed.
        stopped: Deferred[None] = Deferred()
        maybeDeferred(super().stopService).addBoth(lambda _: stopped.callback(None))
        await stopped


def _enough(*_: object) -> None:
    """Wait no longer."""
