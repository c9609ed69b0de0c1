"""The server as a whole: it starts, says so, and stops in order and in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from xiaozhi.ending import Ending
from xiaozhi.factory import Doors
from xiaozhi.services.draining import Draining
from xiaozhi.services.systemd import Handed, Manager
from xiaozhi.services.web.listening import Listening

SETTLING: Final = 30.0
"""Seconds the engines have to load until we are called ready all the same: others stand in."""
ANSWERS, TREE, WHOLE = 0.5, 0.9, 0.95
"""Shares of the grace: for the answers under way, for all services, for the process."""


class Server(MultiService):
    """All services. Nobody new is taken first, and what serves the last answers ends last."""

    log = Logger()

    def __init__(self, clock: Any, grace: float, ending: Ending, manager: Manager) -> None:
        """Stop within `grace` seconds. The rest of the house is filled in by who builds it."""
        super().__init__()
        self.grace = grace
        self.ending = ending
        self.manager = manager
        self.draining = Draining()
        self.doors: Doors | None = None
        self.listening: Sequence[Listening] = ()
        self.settled: Callable[[], Deferred[None]] | None = None
        """Waits until the engines are as ready as they will be for now."""
        self._clock = clock
        self._settling: Deferred[None] | None = None

    @property
    def sockets(self) -> list[Handed]:
        """The open ports, for who comes after us."""
        return [one for port in self.listening for one in port.sockets]

    def startService(self) -> None:
        """Start everything; the manager is told when it is of use."""
        super().startService()
        self._clock.addSystemEventTrigger("after", "shutdown", self.ending.now)
        if self.settled is not None and self.manager.there:
            settling = self._settling = self.settled()
            settling.addTimeout(SETTLING, self._clock, onTimeoutCancel=lambda *_: None)
            settling.addCallback(self._ready)

    def _ready(self, _: None) -> None:
        if self.running:
            ports = ", ".join(str(port.port) for port in self.listening)
            self.manager.ready(f"listening on port {ports}")

    def stopService(self) -> Deferred[None]:
        """Take nobody new, let answers end, say goodbye, stop the rest: in time."""
        self.running = 0
        self.ending.within(WHOLE * self.grace)
        stopping = Deferred.fromCoroutine(self._stop())
        stopping.addTimeout(TREE * self.grace, self._clock, onTimeoutCancel=lambda *_: None)
        return stopping

    async def _stop(self) -> None:
        self.manager.stopping("saying goodbye")
        self.draining.on = True
        for port in self.listening:
            port.kept = self.ending.anew
            await maybeDeferred(port.stopService)
        if self.doors is not None:
            await self.doors.drain(ANSWERS * self.grace)
        # Who is late is not waited for, and not disturbed.
        stopped: Deferred[None] = Deferred()
        maybeDeferred(super().stopService).addBoth(lambda _: stopped.callback(None))
        await stopped
