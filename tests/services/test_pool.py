"""The bounded thread pool."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.counters import Counters
from xiaozhi.services.pool import Workers


class MixedClock(Clock):
    """Time that the test tells, and the calls of threads in the real reactor."""

    callFromThread = staticmethod(reactor.callFromThread)  # type: ignore[attr-defined]


class Task:
    """Work that ends when the test says."""

    def __init__(self) -> None:
        self.begun: Deferred[None] = Deferred()
        self.end = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self) -> str:
        self.thread = threading.current_thread()
        reactor.callFromThread(self.begun.callback, None)  # type: ignore[attr-defined]
        self.end.wait(10)
        return "done"


class WorkersTests(TestCase):
    timeout = 10

    def workers(self, size: int = 2, queue: int = 64, core: Any = reactor) -> Workers:
        workers = Workers(core, "tts", size, queue)
        workers.startService()
        self.addCleanup(lambda: workers.stopService() if workers.running else None)
        return workers

    def task(self) -> Task:
        task = Task()
        self.addCleanup(task.end.set)
        return task

    async def test_result(self) -> None:
        """Work is done in another thread, and its result comes back to the reactor's."""
        workers = self.workers()

        def work(a: int, b: int) -> tuple[int, bool]:
            return a + b, threading.current_thread() is threading.main_thread()

        self.assertEqual(await workers.run(work, 1, b=2), (3, False))
        self.assertIs(threading.current_thread(), threading.main_thread())

    async def test_error(self) -> None:
        """What the work raises is raised where it is waited for."""
        with self.assertRaises(ZeroDivisionError):
            await self.workers().run(divmod, 1, 0)

    async def test_daemons(self) -> None:
        """The threads do not keep the process from ending."""
        self.assertTrue(await self.workers().run(lambda: threading.current_thread().daemon))

    async def test_size(self) -> None:
        """No more calls run at once than there are threads."""
        workers = self.workers(size=2)
        tasks = [self.task() for _ in range(3)]
        results = [workers.run(task) for task in tasks]
        counters = Counters()
        workers.measure(counters)
        await gatherResults([tasks[0].begun, tasks[1].begun])
        self.assertNoResult(tasks[2].begun)
        told = [
            counters.value(f"pool_{what}", pool="tts") for what in ("threads", "busy", "waiting")
        ]
        self.assertEqual(told, [2, 2, 1])
        tasks[0].end.set()
        await tasks[2].begun
        for task in tasks:
            task.end.set()
        self.assertEqual(await gatherResults(results), ["done"] * 3)

    async def test_bound(self) -> None:
        """When too much waits, more is refused at once, until there is room again."""
        workers = self.workers(size=1, queue=1)
        running, waiting = self.task(), self.task()
        results = [workers.run(running), workers.run(waiting)]
        with self.assertRaises(ServiceError) as caught:
            workers.run(int)
        self.assertEqual(str(caught.exception), "tts: too much work is waiting")
        running.end.set()
        waiting.end.set()
        await gatherResults(results)
        self.assertEqual(await workers.run(int), 0)

    async def test_errors_make_room(self) -> None:
        """Work that fails makes room as well."""
        workers = self.workers(size=1, queue=0)
        for _ in range(3):
            with self.assertRaises(ZeroDivisionError):
                await workers.run(divmod, 1, 0)

    async def test_cancel(self) -> None:
        """Who waits can be cancelled at once; the thread counts until it is free again."""
        workers = self.workers(size=1, queue=0)
        task = self.task()
        result = workers.run(task)
        await task.begun
        result.cancel()
        with self.assertRaises(CancelledError):
            await result
        with self.assertRaises(ServiceError):
            workers.run(int)
        task.end.set()
        while True:
            try:
                self.assertEqual(await workers.run(int), 0)
                break
            except ServiceError:
                await self.turn()

    def turn(self) -> Deferred[None]:
        """Let the reactor go round."""
        turned: Deferred[None] = Deferred()
        reactor.callLater(0, turned.callback, None)
        return turned

    async def test_cancelled_in_the_queue(self) -> None:
        """Work that nobody waits for any more when its turn comes is not begun."""
        workers = self.workers(size=1)
        running, waiting = self.task(), self.task()
        result, unwanted = workers.run(running), workers.run(waiting)
        unwanted.cancel()
        with self.assertRaises(CancelledError):
            await unwanted
        running.end.set()
        await result
        self.assertEqual(await workers.run(int), 0)
        self.assertIsNone(waiting.thread)

    async def test_timeout(self) -> None:
        """A deadline can be set on the waiting."""
        workers, task = self.workers(), self.task()
        with self.assertRaises(TimeoutError):
            await workers.run(task).addTimeout(0.01, reactor)

    async def test_error_nobody_waits_for(self) -> None:
        """An error of work that was given up is not logged as unhandled."""
        workers = self.workers(size=1)
        task = self.task()

        def fail() -> None:
            task()
            raise KeyError("broken")

        result = workers.run(fail)
        await task.begun
        result.cancel()
        task.end.set()
        await workers.run(int)
        with self.assertRaises(CancelledError):
            await result

    async def test_not_running(self) -> None:
        """Before the start and after the stop work is refused."""
        workers = Workers(reactor, "asr")
        with self.assertRaises(ServiceError):
            workers.run(int)
        workers.startService()
        await workers.stopService()
        with self.assertRaises(ServiceError) as caught:
            workers.run(int)
        self.assertEqual(caught.exception.stage, "asr")

    async def test_stop_waits(self) -> None:
        """Stopping waits for the work that runs."""
        workers = self.workers()
        task = self.task()
        result = workers.run(task)
        await task.begun
        stopped = workers.stopService()
        self.assertNoResult(stopped)
        task.end.set()
        self.assertEqual(await result, "done")
        await stopped

    async def test_stop_does_not_wait_for_ever(self) -> None:
        """Stopping leaves a thread behind that does not end within the grace."""
        clock = MixedClock()
        workers = self.workers(core=clock)
        task = self.task()
        result = workers.run(task)
        await task.begun
        stopped = workers.stopService()
        clock.advance(workers.grace - 0.1)
        self.assertNoResult(stopped)
        clock.advance(0.2)
        self.successResultOf(stopped)
        task.end.set()
        self.assertEqual(await result, "done")
        self.assertEqual(clock.getDelayedCalls(), [])

    async def test_stop_unused(self) -> None:
        """A pool that was never started, or never used, stops."""
        await Workers(reactor, "tts").stopService()
        await self.workers().stopService()

    async def test_start_again(self) -> None:
        """A pool that was stopped can be started again."""
        workers = self.workers()
        self.assertEqual(await workers.run(int), 0)
        await workers.stopService()
        workers.startService()
        self.assertEqual(await workers.run(int), 0)

    async def test_stop_cancels_what_waits(self) -> None:
        """What waits for a thread fails at once, and is never done; what runs has its grace."""
        workers = self.workers(size=1)
        running, waiting = self.task(), self.task()
        first, second = workers.run(running), workers.run(waiting)
        await running.begun
        stopped = workers.stopService()
        error = self.failureResultOf(second, ServiceError)
        self.assertIn("stopping", str(error.value))
        running.end.set()
        self.assertEqual(await first, "done")
        await stopped
        self.assertFalse(waiting.begun.called)
