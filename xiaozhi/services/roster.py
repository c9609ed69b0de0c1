"""The ordered list of engines of one kind: who is asked, who rests, who is back.

An engine that failed is not tried again at a user's expense. It rests, and a probe (a small real
request, in the background) finds out when it is back: after a second, two, four, up to a minute.
Meanwhile it is asked only where nobody else is left, and given little time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import attrs
from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import Absent, Refused, ServiceError
from xiaozhi.scope import about
from xiaozhi.services.counters import Counters
from xiaozhi.services.deadline import Deadlines

SHORTEST: Final = 1.0
"""Seconds until the first probe of an engine that failed."""
LONGEST: Final = 60.0
"""Seconds between probes, at most."""
PATIENCE: Final = 60.0
"""Seconds a probe may take: a model may have to be loaded."""
LAST_RESORT: Final = 3.0
"""Seconds that one at rest has for its first result, if nobody else is left."""
OFTEN: Final = 3
"""So many refusals in a row are no matter of the request any more."""
UNABLE: Final = 2
"""The rank of an engine that cannot do the language at all."""


class Engine(Protocol):
    """What a list must know of its engines."""

    @property
    def languages(self) -> Collection[str]:
        """Primary subtags, or {"*"}."""


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


E = TypeVar("E", bound=Engine)
T = TypeVar("T")


@attrs.define(eq=False)
class Member(Generic[E]):
    """An engine in its list, and how it has done."""

    name: str
    engine: E
    fit: bool = True
    """False while it rests after a failure."""
    failures: int = 0
    """How often it has failed, ever."""
    away_until: float = 0.0
    """Till when it is taken to be absent, since it was when it was last asked."""
    refusals: int = 0
    """How often it has refused since it last worked."""
    blamed: bool = False
    """Whether its failure has been said, and not yet that it works again."""
    pause: float = SHORTEST
    """Seconds it rests after its next failure."""
    recovery: _Cancellable | None = None
    """The timer until the next probe, or the probe."""
    users: int = 0
    """How many are being served by it at this moment."""


class Roster(MultiService, ABC, Generic[E]):
    """Engines in the order they are tried. Those that are services live with it."""

    log = Logger()
    stage: ClassVar[str]
    title: ClassVar[str]
    """What such an engine is called in the log."""
    usual: ClassVar[Deadlines]
    """What an engine has for its result, unless something else is said."""

    def __init__(
        self, engines: Sequence[tuple[str, E]], reactor: Any, deadlines: Deadlines | None = None
    ) -> None:
        """Take the `engines`, each with its name for the log."""
        super().__init__()
        self.reactor = reactor
        self.deadlines = deadlines or self.usual
        self.members = tuple(Member(name, engine) for name, engine in engines)
        self.guests: tuple[Member[E], ...] = ()
        """Those that are only asked by who prefers them."""
        self._counters = Counters()
        for _, engine in engines:
            self.house(engine)

    def house(self, engine: E) -> None:
        """Let an engine that is a service live here, before it is a member or as one."""
        service: Any = engine
        if IService.providedBy(service) and service.parent is not self:
            service.setServiceParent(self)

    def replace(
        self, engines: Sequence[tuple[str, E]], guests: Sequence[tuple[str, E]] = ()
    ) -> None:
        """Go on with `engines`, in their order, and `guests`; those here before are as they were.

        An engine that is here no more ends when the last that it serves has been served.
        """
        before: dict[int, Member[E]] = {id(member.engine): member for member in self.everybody}
        for member in self.everybody:
            for gauge in _GAUGES:
                self._counters.forget(gauge, kind=self.stage, engine=member.name)
        for _, engine in (*engines, *guests):
            self.house(engine)
        self.members, self.guests = (
            tuple(
                before.pop(id(engine)) if id(engine) in before else Member(name, engine)
                for name, engine in some
            )
            for some in (engines, guests)
        )
        self.measure(self._counters)
        for member in before.values():
            self._abandon(member)

    @property
    def everybody(self) -> Sequence[Member[E]]:
        """The list and its guests."""
        return (*self.members, *self.guests)

    def settled(self) -> Deferred[None]:
        """Wait until every engine is as ready as it will be for now: its model loaded, say."""
        waits = [getattr(member.engine, "settled", _is_settled)() for member in self.members]
        done: Deferred[None] = DeferredList(waits, consumeErrors=True).addCallback(lambda _: None)
        return done

    @contextmanager
    def using(self, member: Member[E]) -> Iterator[None]:
        """See to it that the engine lives while it serves somebody."""
        self.hold(member)
        try:
            yield
        finally:
            self.release(member)

    def hold(self, member: Member[E]) -> None:
        """Note that somebody is being served by `member`."""
        member.users += 1

    def release(self, member: Member[E]) -> None:
        """Note that somebody has been served by `member`."""
        member.users -= 1
        if member not in self.everybody:
            self._end(member)

    @abstractmethod
    async def probe(self, engine: E) -> None:
        """Make a small real request; raise ServiceError if it fails."""

    @property
    def lineup(self) -> list[tuple[str, Collection[str]]]:
        """Who is here and what they can, in order, for the report at start."""
        return [(member.name, member.engine.languages) for member in self.members]

    @property
    def able(self) -> bool:
        """Whether an engine is fit and there, as far as is known.

        What is absent is not probed. So it is taken to be back after a while: where nobody is
        sent to a server that is not able, nobody would find out.
        """
        now = self.reactor.seconds()
        return any(member.fit and member.away_until <= now for member in self.members)

    def measure(self, counters: Counters) -> None:
        """Have the metrics tell how the engines do. Two of one name are told as one."""
        self._counters = counters
        for name in {member.name for member in self.everybody}:
            same = [member for member in self.everybody if member.name == name]
            for gauge, read in _GAUGES.items():
                counters.gauge(gauge, partial(read, same), kind=self.stage, engine=name)

    def order(
        self, rank: Callable[[E], int] = lambda _: 0, first: Sequence[Member[E]] = ()
    ) -> list[Member[E]]:
        """Tell whom to ask, in order: those who are to be `first`, then by `rank` (0 is best).

        One at rest comes after all others that can do it, but before those that cannot, whose
        rank is `UNABLE`.
        """
        members = dict.fromkeys((*first, *self.members))

        def place(member: Member[E]) -> tuple[bool, bool, int, int]:
            ranked = rank(member.engine)
            preferred = first.index(member) if member in first else len(first)
            return ranked >= UNABLE, not member.fit, preferred, ranked

        return sorted(members, key=place)

    def warm(self, first: Sequence[Member[E]] = ()) -> None:
        """Let whoever will answer get ready: its connection opened, say, or its model loaded."""
        for member in self.order(first=first):
            if not member.blamed:  # one that is absent is asked first, and answers nothing
                getattr(member.engine, "warm", _do_nothing)()
                return

    def patience(self, member: Member[E]) -> Deadlines:
        """Tell how long to wait for a member."""
        if member.fit:
            return self.deadlines
        return attrs.evolve(self.deadlines, first=min(LAST_RESORT, self.deadlines.first))

    async def stream(
        self, members: Iterable[Member[E]], attempt: Callable[[Member[E]], AsyncGenerator[T, None]]
    ) -> AsyncGenerator[T, None]:
        """Yield what `attempt` yields for the first of `members` with which it begins.

        Raises ServiceError when one fails after that, since nothing is said twice, or when
        all have failed.
        """
        failures = []
        for member in members:
            begun = False
            asked = self.reactor.seconds()
            try:
                with self.using(member), self.guard(member):
                    async with aclosing(attempt(member)) as items:
                        async for item in items:
                            if not begun:
                                self.answered(member, asked)
                            begun = True
                            yield item
            except ServiceError as error:
                self.failed(member, error)
                if begun:
                    raise
                failures.append(f"{member.name}: {error.why}")
            else:
                self.worked(member)
                return
        raise ServiceError(self.stage, "; ".join(failures) or f"there is no {self.title}")

    def answered(self, member: Member[E], asked: float) -> None:
        """Note that the first result is there of what was `asked` for then."""
        self._counters.observe(
            "engine_first_result",
            self.reactor.seconds() - asked,
            kind=self.stage,
            engine=member.name,
        )

    @contextmanager
    def guard(self, member: Member[E]) -> Iterator[None]:
        """Take an engine's mistake for a failure, or it would silence those behind it, too.

        An engine may be anybody's code: this is a boundary, where all that goes wrong is caught.
        """
        try:
            yield
        except (ServiceError, CancelledError):
            raise
        except Exception as error:
            self.log.failure("{title} {name} has a mistake", title=self.title, name=member.name)
            why = f"a mistake of its own ({type(error).__name__})"
            raise ServiceError(self.stage, why) from error

    def failed(self, member: Member[E], error: ServiceError) -> None:
        """Note a failure: it is said once; the engine rests, unless it is none of its health."""
        member.failures += 1
        if isinstance(error, Absent):
            member.away_until = self.reactor.seconds() + LONGEST
        if not member.blamed:
            member.blamed = True
            say = self.log.info if isinstance(error, Absent) else self.log.warn
            say("{title} {name} failed: {why}", title=self.title, name=member.name, why=error.why)
        refused = isinstance(error, Refused)
        member.refusals += refused
        # One that is absent says so at once, and one that refuses something is well.
        harmless = isinstance(error, Absent) or (refused and member.refusals < OFTEN)
        if member.fit and not harmless and member in self.everybody:
            member.fit = False
            self._rest(member, error.rest)

    def worked(self, member: Member[E]) -> None:
        """Note that an engine did what a user needed."""
        member.pause = SHORTEST
        self._counters.count("engine_requests", kind=self.stage, engine=member.name)
        member.refusals = 0
        self._back(member)

    def stopService(self) -> Deferred[None]:
        """Give the probes up, and stop the engines."""
        for member in self.everybody:
            recovery, member.recovery = member.recovery, None
            if recovery is not None:
                recovery.cancel()
        stopped: Deferred[None] = super().stopService()
        return stopped

    def _abandon(self, member: Member[E]) -> None:
        recovery, member.recovery = member.recovery, None
        if recovery is not None:
            recovery.cancel()
        self._end(member)

    def _end(self, member: Member[E]) -> None:
        """End an engine that is here no more, unless it still serves somebody."""
        service: Any = member.engine
        if member.users or not IService.providedBy(service) or service.parent is not self:
            return
        ended = maybeDeferred(service.disownServiceParent)
        ended.addErrback(
            lambda failure: self.log.failure("ending {name}", failure, name=member.name)
        )

    def _back(self, member: Member[E]) -> None:
        recovery, member.recovery = member.recovery, None
        member.fit = True
        member.away_until = 0.0
        if recovery is not None:
            recovery.cancel()
        if member.blamed:
            member.blamed = False
            self.log.info("{title} {name} works again", title=self.title, name=member.name)

    def _rest(self, member: Member[E], least: float = 0.0) -> None:
        """Probe it later. One that its probe finds well, and users do not, rests longer too."""
        if self.running:
            pause = max(member.pause, least)
            with about(None):  # it is no longer about who found out
                member.recovery = self.reactor.callLater(pause, self._probe, member)
        member.pause = min(2 * member.pause, LONGEST)

    def _probe(self, member: Member[E]) -> None:
        probing = Deferred.fromCoroutine(self.probe(member.engine))
        member.recovery = probing
        probing.addTimeout(PATIENCE, self.reactor)

        def passed(_: None) -> None:
            member.recovery = None
            self._back(member)

        def failed(failure: Failure) -> None:
            if failure.check(ServiceError, TimedOut, CancelledError) is None:
                self.log.failure("probing {name}", failure, name=member.name)
            if member.recovery is probing:  # else it works, or the list is stopped
                self._rest(member, getattr(failure.value, "rest", 0.0))

        probing.addCallbacks(passed, failed)


def _failures(members: Iterable[Member[Any]]) -> float:
    return sum(member.failures for member in members)


def _fitness(members: Iterable[Member[Any]]) -> float:
    return any(member.fit for member in members)


_GAUGES: Final = {"engine_failures": _failures, "engine_fit": _fitness}
"""What the metrics tell of engines of one name."""


def _do_nothing() -> None:
    """Stand in for what an engine need not have."""


def _is_settled() -> Deferred[None]:
    """Answer for an engine that has nothing to load."""
    return succeed(None)
