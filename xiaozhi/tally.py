"""What one session amounts to, for the log and the metrics."""

from __future__ import annotations

from xiaozhi.services.counters import Counters
from xiaozhi.turn import State


class Tally:
    """Counts one session by whose turn it is, its turns, and what took how long."""

    def __init__(self, counters: Counters, state: State) -> None:
        """Add to `counters`, to begin with a session in this `state`."""
        self._counters = counters
        self._state: State | None = state
        self._enter(state, 1)
        self._asked: float | None = None
        """When the utterance was over that this turn is about; None if it is about none."""

    def moved(self, state: State | None) -> None:
        """Note whose turn it is now; None if the session is over."""
        if state == self._state:
            return
        for each, amount in ((self._state, -1), (state, 1)):
            if each is not None:
                self._enter(each, amount)
        self._state = state

    def _enter(self, state: State, amount: int) -> None:
        # Kept up to date, since to look at thousands of sessions would keep them waiting.
        self._counters.count("sessions", amount, state=state)

    def utterance_over(self, now: float) -> None:
        """Note that the user has spoken, and waits from now on."""
        self._asked = now

    def answering(self) -> None:
        """Note that a question is answered."""
        self._counters.count("turns", how="typed" if self._asked is None else "spoken")

    def over(self, sounded: float | None) -> None:
        """Note that the turn is over, and when the first sound of its answer left, if one did."""
        if self._asked is not None and sounded is not None:
            self._counters.observe("turn_latency", sounded - self._asked)
        self._asked = None

    def failed(self) -> None:
        """Note that a turn ended with an error of ours."""
        self._counters.count("turns_failed")
