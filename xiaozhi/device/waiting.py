"""Waiting, with a deadline, for something to become true of a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError

from xiaozhi.device.errors import DeviceError, NoAnswer


class Waiting:
    """Everyone who waits for the same device."""

    def __init__(self, clock: Any) -> None:
        """Measure deadlines by `clock`."""
        self.failure: DeviceError | None = None
        """Why nothing that is awaited can come any more."""
        self._clock = clock
        self._waiters: set[Deferred[None]] = set()

    def look(self) -> None:
        """Let everyone look again: something may have changed."""
        for waiter in tuple(self._waiters):
            if not waiter.called:
                waiter.callback(None)

    async def until(
        self, done: Callable[[], bool], deadline: float, missing: Callable[[], str]
    ) -> None:
        """Wait until `done`. Raises the `failure`, or NoAnswer at the `deadline`."""
        while not done():
            if self.failure is not None:
                raise self.failure
            waiter: Deferred[None] = Deferred()
            waiter.addTimeout(max(0.0, deadline - self._clock.seconds()), self._clock)
            self._waiters.add(waiter)
            try:
                await waiter
            except TimeoutError:
                raise NoAnswer(f"no answer in time: still waiting for {missing()}") from None
            finally:
                self._waiters.discard(waiter)

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        passed: Deferred[None] = Deferred()
        call = self._clock.callLater(seconds, passed.callback, None)
        try:
            await passed
        finally:
            if call.active():
                call.cancel()
