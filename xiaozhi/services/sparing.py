"""Lines of the log that strangers can bring about: some of each, then their sum, never a flood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

from xiaozhi.scope import about

WINDOW: Final = 60.0
"""Seconds that are looked at together."""
EACH: Final = 10
"""Lines about one of them in that time; the rest is summed up at the end of it."""
ALL: Final = 200
"""Lines about all of them."""

_SUMS = 20
"""Those that are summed up by themselves."""


class Sparing:
    """Decides which lines are written."""

    def __init__(self, clock: Any, tell: Callable[[int, str], None]) -> None:
        """Take the `clock` that ends each window; `tell` writes how many more there were of whom.

        Whoever makes one calls `sum_up` at its own end.
        """
        self._clock = clock
        self._tell = tell
        self._told: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._end: IDelayedCall | None = None

    def allows(self, whose: str) -> bool:
        """Say whether one more line may be written of somebody; else it is counted."""
        if self._end is None:
            self._end = self._clock.callLater(WINDOW, self.sum_up)
        if self._told[whose] < EACH and self._told.total() < ALL:
            self._told[whose] += 1
            return True
        if whose in self._untold or len(self._untold) < _SUMS:
            self._untold[whose] += 1
        else:
            self._untold["others"] += 1
        return False

    def sum_up(self) -> None:
        """Tell of those nothing was written about, and begin anew. Also at the end of all."""
        if self._end is not None and self._end.active():
            self._end.cancel()
        self._end = None
        with about(None):  # a timer goes on in the context of whoever was the first
            for whose, number in self._untold.most_common():
                self._tell(number, whose)
        self._told.clear()
        self._untold.clear()
