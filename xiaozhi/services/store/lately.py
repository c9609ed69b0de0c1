"""What was lately looked up, believed for a moment, or until it is changed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred

T = TypeVar("T")

SOON: Final = 5.0
"""Seconds for which something is believed: whoever else changes the database, it counts then."""
REMEMBERED: Final = 4096
"""Things that are remembered; those that were looked up first are forgotten first."""


@attrs.define(eq=False)
class _Question:
    """One that is not answered yet."""

    moot: bool = False
    """Whether what it asks about was changed meanwhile, so that the answer may be the old one."""


class Lately(Generic[T]):
    """Remember answers, each under a key."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` tells the time, in seconds from anywhere."""
        self._now = now
        self._known: dict[str, tuple[float, T]] = {}
        """Until when each is believed; in the order of that."""
        self._open: dict[str, set[_Question]] = {}

    def recall(self, key: str) -> T | None:
        """Tell what is known; None if that is nothing, or too old."""
        until, answer = self._known.get(key, (0.0, None))
        return answer if self._now() < until else None

    def learn(self, key: str, ask: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Ask, and remember the answer.

        One that comes after a change, to a question from before it, is not believed: it is asked
        again. Who waits may cancel this.
        """
        asked, question = self._now(), _Question()
        self._open.setdefault(key, set()).add(question)

        def told(answer: T) -> T | Deferred[T]:
            if question.moot:
                return self.learn(key, ask)
            self._keep(key, asked + SOON, answer)
            return answer

        asking: Deferred[T] = ask().addBoth(self._close, key, question)
        return asking.addCallback(told)

    def forget(self, key: str) -> None:
        """Know no more: it was changed."""
        self._known.pop(key, None)
        for question in self._open.get(key, ()):
            question.moot = True

    def _close(self, result: Any, key: str, question: _Question) -> Any:
        self._open[key].discard(question)
        if not self._open[key]:
            del self._open[key]
        return result

    def _keep(self, key: str, until: float, answer: T) -> None:
        self._known.pop(key, None)
        self._known[key] = until, answer
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
