"""A bounded thread pool for one kind of blocking work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from xiaozhi.errors import Refused, ServiceError
from xiaozhi.services.counters import Counters

P = ParamSpec("P")
T = TypeVar("T")


class _Threads(ThreadPool):
    """A pool whose threads do not keep the process from ending."""

    threadFactory = staticmethod(partial(threading.Thread, daemon=True))  # type: ignore[assignment]


class Workers(Service):
    """At most `size` threads, and at most `queue` calls waiting for one.

    Threads start at first use and are daemons: stopping gives a running call `grace` seconds
    and then leaves it behind, since a thread cannot be ended from outside. What waits for a
    thread then fails at once; or is done within that time, if the pool is one that `finishes`.
    """

    grace = 2.0

    def __init__(
        self, reactor: Any, stage: str, size: int = 2, queue: int = 64, finishes: bool = False
    ) -> None:
        """Serve `stage`, the word a refusal carries (see `ServiceError`)."""
        self.queue = queue
        self._reactor = reactor
        self._stage = stage
        self._size = size
        self._finishes = finishes
        self._busy = 0
        self._queued: set[Deferred[Any]] = set()
        """Of the calls that wait for a thread."""
        self._pool: _Threads | None = None

    @property
    def running_calls(self) -> int:
        """Calls that are in a thread now."""
        return min(self._busy, self._size)

    @property
    def waiting_calls(self) -> int:
        """Calls that wait for a thread."""
        return self._busy - self.running_calls

    def measure(self, counters: Counters) -> None:
        """Have the metrics tell how busy the pool is."""
        pool = self._stage
        counters.gauge("pool_threads", lambda: self._size, pool=pool)
        counters.gauge("pool_busy", lambda: self.running_calls, pool=pool)
        counters.gauge("pool_waiting", lambda: self.waiting_calls, pool=pool)

    def startService(self) -> None:
        """Accept work. Threads are made when there is some."""
        super().startService()
        # A pool that was stopped cannot be started again.
        self._pool = _Threads(0, self._size, name=f"xiaozhi-{self._stage}")
        self._pool.start()

    def stopService(self) -> Deferred[None]:
        """Refuse work and wait for running calls, but never longer than `grace`."""
        super().stopService()
        pool, self._pool = self._pool, None
        if pool is None:
            return succeed(None)
        for waiter in list(self._queued):
            if not (waiter.called or self._finishes):
                waiter.errback(ServiceError(self._stage, "the server is stopping"))
        ended: Deferred[None] = Deferred()
        threads: IReactorFromThreads = self._reactor

        def tell() -> None:
            if not ended.called:
                ended.callback(None)

        def join() -> None:
            pool.stop()
            threads.callFromThread(tell)

        # ThreadPool.stop() joins its threads, so it must not run on the reactor.
        threading.Thread(target=join, daemon=True).start()
        ended.addTimeout(self.grace, self._reactor, onTimeoutCancel=lambda *_: None)
        return ended

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call `work` in a thread. Raise `ServiceError` at once when too much already waits.

        Cancelling lets a call that runs go on, alone; one that waits for a thread is not made.
        """
        if self._pool is None:
            raise ServiceError(self._stage, "the server is stopping")
        if self._busy >= self._size + self.queue:
            raise Refused(self._stage, "too much work is waiting")
        self._busy += 1
        waiter: Deferred[T] = Deferred()
        self._queued.add(waiter)

        def call() -> T | None:
            self._queued.discard(waiter)
            return None if waiter.called else work(*args, **kwargs)

        def done(result: Any) -> None:
            # Counted when the thread is free again, even if nobody waits for the result any more.
            self._busy -= 1
            if not waiter.called:
                waiter.callback(result)  # a Failure becomes an errback

        deferToThreadPool(self._reactor, self._pool, call).addBoth(done)
        return waiter
