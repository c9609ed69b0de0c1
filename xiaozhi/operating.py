"""What an operator has the running server do: read its configuration again, and begin anew."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.changes import live
from xiaozhi.errors import ConfigError, ServiceError, Unavailable
from xiaozhi.messages import Obeyed, Order
from xiaozhi.scope import about, current
from xiaozhi.services.counters import Counters
from xiaozhi.services.pool import Workers
from xiaozhi.services.sparing import Sparing
from xiaozhi.services.systemd import Manager

NOTICE: Final = 1.0
"""Seconds between the answer to a restart and the restart."""
_TOLD: Final = 1000
"""Characters of an answer."""


class Plan(Protocol):
    """What the configuration is turned into, in two steps."""

    def read(self, restart: bool = False) -> Any:
        """Read and check it, in a thread; raises ConfigError or Unavailable.

        Before a `restart` it is made sure that a server could be started with it.
        """

    async def apply(self, prepared: Any) -> Sequence[str]:
        """Put what was read into effect; give the keys that are changed."""

    @property
    def secret(self) -> str:
        """What an operator's message must know; if that is "", none is obeyed."""


@attrs.frozen
class Process:
    """What can be done with the process."""

    stop: Callable[[], None]
    """Stops it as SIGTERM does."""
    begin_anew: Callable[[], None]
    """Stops it, to begin again."""
    on_hangup: Callable[[Callable[[], None]], None]
    """Has a call made when SIGHUP comes."""
    fixed: str = ""
    """Why it cannot begin anew."""


class Refusal(Exception):
    """What an operator wants is not done; `str()` says why."""


class Operator(Service):
    """Obeys SIGHUP and the messages of who knows the secret."""

    log = Logger()

    def __init__(
        self,
        clock: Any,
        workers: Workers,
        manager: Manager,
        counters: Counters,
    ) -> None:
        """Read by `workers`; tell the service `manager`, and `counters` what is refused."""
        self._clock = clock
        self._workers = workers
        self._plan: Plan
        self._process: Process
        self._manager = manager
        self._counters = counters
        self._lines = Sparing(clock, self._sum)
        self._turn = DeferredLock()
        self._work: set[Deferred[Any]] = set()
        self._leaving: IDelayedCall | None = None
        self._terminal = os.isatty(0)

    def serve(self, plan: Plan, process: Process) -> None:
        """Change the `plan` and the `process`, for those who know the plan's secret."""
        self._plan = plan
        self._process = process

    def startService(self) -> None:
        """Begin to listen to SIGHUP."""
        super().startService()
        self._process.on_hangup(self.hang_up)

    def stopService(self) -> None:
        """Give up what is under way."""
        super().stopService()
        if self._leaving is not None and self._leaving.active():
            self._leaving.cancel()
        for work in list(self._work):
            work.cancel()
        self._lines.sum_up()

    # -- ways in --

    def hang_up(self) -> None:
        """SIGHUP came: read the configuration again; or stop, if our terminal is gone."""
        if self._terminal and _has_gone():
            self.log.info("The terminal was closed")
            self._process.stop()
        else:
            self._begin(self._reload).addErrback(lambda _: None)  # it was logged

    def obey(self, order: Order) -> Deferred[Obeyed]:
        """Do what a message asks for. It is always answered."""
        if not self._may(order):
            self._counters.count("orders_refused")
            scope = current()
            if self._lines.allows(scope.device if scope else "nobody"):
                self.log.warn("An order was refused: its secret is wrong, or none is set")
            return succeed(Obeyed.to(order, "the secret is wrong"))
        match order.action:
            case "update_config":
                work = self._begin(self._reload)
            case "restart":
                work = self._begin(self._restart)
            case _:
                return succeed(Obeyed.to(order, "unknown action"))

        def failed(failure: Failure) -> Obeyed:
            known = failure.check(Refusal) is not None
            return Obeyed.to(order, str(failure.value) if known else "it could not be done")

        return work.addCallbacks(lambda done: Obeyed.to(order, message=done[:_TOLD]), failed)

    def _sum(self, number: int, whose: str) -> None:
        self.log.warn("refused {number} more orders of {device}", number=number, device=whose)

    def _may(self, order: Order) -> bool:
        given, secret = (
            text.encode("utf-8", "surrogatepass") for text in (order.secret, self._plan.secret)
        )
        return hmac.compare_digest(given, secret) and bool(secret)

    # -- what is done --

    def _begin(self, task: Callable[[], Coroutine[Deferred[Any], Any, str]]) -> Deferred[str]:
        """Do one thing at a time, until we stop. Fails with Refusal."""

        def begin() -> Deferred[str]:
            with about(None):  # whoever ordered it: from now on it is about all
                return Deferred.fromCoroutine(task())

        work: Deferred[str] = self._turn.run(begin)
        self._work.add(work)

        def done(result: Any) -> Any:
            self._work.discard(work)
            if isinstance(result, Failure) and not result.check(Refusal) and self.running:
                self.log.failure("an order", result)
            return result

        return work.addBoth(done)

    async def _read(self, restart: bool = False) -> Any:
        try:
            return await self._workers.run(self._plan.read, restart)
        except (ConfigError, Unavailable, ServiceError) as error:
            self.log.error("The configuration is wrong, so nothing changes:\n{why}", why=error)
            raise Refusal(str(error)[:_TOLD]) from None

    async def _reload(self) -> str:
        self._manager.reloading()
        try:
            changed = await self._plan.apply(await self._read())
        finally:
            self._manager.ready()
        now = [key for key in changed if live(key)]
        later = [key for key in changed if not live(key)]
        told = f"changed: {', '.join(now) or 'nothing'}"
        if later:
            told += f"; in effect after a restart: {', '.join(later)}"
        self.log.info("The configuration was read again; {told}", told=told)
        return told

    async def _restart(self) -> str:
        if self._process.fixed:
            raise Refusal(self._process.fixed)
        await self._read(restart=True)  # what would not start must not be stopped
        if self._leaving is None:
            self.log.info("The server begins anew")
            self._leaving = self._clock.callLater(NOTICE, self._process.begin_anew)
        return "the server begins anew"


def _has_gone() -> bool:
    """Say whether the terminal this was started at is closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return True
    return False
