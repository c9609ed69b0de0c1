"""How late the reactor is: what everybody waits for when something takes too long on it."""

from __future__ import annotations

from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from xiaozhi.services.counters import Counters

EVERY: Final = 0.5
"""Seconds between two measurements."""


class Lag(Service):
    """Sets itself a timer again and again, and counts how late it rings."""

    def __init__(self, counters: Counters, clock: Any) -> None:
        """Tell `counters`; `clock` is the reactor."""
        self._counters = counters
        self._clock = clock
        self._due = 0.0
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to measure."""
        super().startService()
        self._set()

    def stopService(self) -> None:
        """Measure no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        super().stopService()

    def _set(self) -> None:
        self._due = self._clock.seconds() + EVERY
        self._timer = self._clock.callLater(EVERY, self._ring)

    def _ring(self) -> None:
        self._counters.observe("reactor_lag", max(0.0, self._clock.seconds() - self._due))
        self._set()
