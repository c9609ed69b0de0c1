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

from xiaozhi.errors import ServiceError

P = ParamSpec("P")
T = TypeVar("T")


class _Threads(ThreadPool):
    """A pool whose threads do not keep the process from ending."""

    threadFactory = staticmethod(partial(threading.Thread, daemon=True))  # type: ignore[assignment]


class Workers(Service):
    """At most `size` threads, and at most `queue` calls waiting for one.

    Threads start at first use and are daemons: stopping gives a running call `grace` seconds
    and then leaves it behind, since a thread cannot be ended from outside.
    """

    grace = 2.0

    def __init__(self, reactor: Any, stage: str, size: int = 2, queue: int = 64) -> None:
        """Serve `stage`, the word a refusal carries (see `ServiceError`)."""
        self._reactor = reactor
        self._stage = stage
        self._size = size
        self._limit = size + queue
        self._busy = 0
        self._pool = _Threads(0, size, name=f"xiaozhi-{stage}")

    def startService(self) -> None:
        """Accept work. Threads are made when there is some."""
        super().startService()
        self._pool.start()

    def stopService(self) -> Deferred[None]:
        """Refuse work and wait for running calls, but never longer than `grace`."""
        super().stopService()
        if not self._pool.started:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        threads: IReactorFromThreads = self._reactor

        def tell() -> None:
            if not ended.called:
                ended.callback(None)

        def join() -> None:
            self._pool.stop()
            threads.callFromThread(tell)

        # ThreadPool.stop() joins its threads, so it must not run on the reactor.
        threading.Thread(target=join, daemon=True).start()
        ended.addTimeout(self.grace, self._reactor, onTimeoutCancel=lambda *_: None)
        return ended

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call `work` in a thread. Raise `ServiceError` at once when too much already waits."""
        if not self.running:
            raise ServiceError(self._stage, "the server is stopping")
        if self._busy >= self._limit:
            raise ServiceError(self._stage, "too much work is waiting")
        self._busy += 1

        def done(result: T) -> T:
            self._busy -= 1
            return result

        result = deferToThreadPool(self._reactor, self._pool, work, *args, **kwargs)
        # Counted when the thread is free again, even if nobody waits for the result any more.
        return _detached(result.addBoth(done))


def _detached(work: Deferred[T]) -> Deferred[T]:
    """Make a Deferred whose cancelling leaves the running `work` alone."""
    waiter: Deferred[T] = Deferred()

    def pass_on(result: Any) -> None:
        if not waiter.called:
            waiter.callback(result)  # a Failure becomes an errback

    work.addBoth(pass_on)
    return waiter
