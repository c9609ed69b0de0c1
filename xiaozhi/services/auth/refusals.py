"""The log of who was refused: a line for each, but no flood of them."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xiaozhi.services.auth.caller import Caller, Refused
from xiaozhi.services.networks import neighbourhood, parse

WINDOW: Final = 60.0
"""Seconds that are looked at together."""
EACH: Final = 10
"""Lines about one peer in that time; the rest is summed up at the end of it."""
ALL: Final = 200
"""Lines about all peers."""

_SUMS = 20
"""Peers that are summed up by themselves."""


class Refusals:
    """Writes the log of the refused."""

    log = Logger()

    def __init__(self, clock: Any) -> None:
        """Take the `clock` that ends each window."""
        self._clock = clock
        self._told: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._end: IDelayedCall | None = None

    def note(self, caller: Caller, refused: Refused) -> None:
        """Write a line, or count it."""
        if self._end is None:
            self._end = self._clock.callLater(WINDOW, self.sum_up)
        address = parse(caller.peer)
        peer = neighbourhood(address) if address else "unknown addresses"
        if self._told[peer] < EACH and self._told.total() < ALL:
            self._told[peer] += 1
            self.log.warn(
                "refused {device} from {peer}: {why}",
                device=caller.identity.device,
                peer=caller.peer,
                why=refused.why,
            )
        elif peer in self._untold or len(self._untold) < _SUMS:
            self._untold[peer] += 1
        else:
            self._untold["other addresses"] += 1

    def sum_up(self) -> None:
        """Tell of those nothing was written about, and begin anew. Also at the end of all."""
        if self._end is not None and self._end.active():
            self._end.cancel()
        self._end = None
        for peer, number in self._untold.most_common():
            self.log.warn("refused {number} more from {peer}", number=number, peer=peer)
        self._told.clear()
        self._untold.clear()
