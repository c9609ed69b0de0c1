"""What one session amounts to, for the log and the metrics."""

from __future__ import annotations

from xiaozhi.services.counters import Counters


class Tally:
    """Counts the turns of one session, and what took how long."""

    def __init__(self, counters: Counters) -> None:
        """Add to `counters`."""
        self.ignored = 0
        """Messages nobody has a use for."""
        self._counters = counters
        self._asked: float | None = None
        """When the utterance was over that this turn is about; None if it is about none."""

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
