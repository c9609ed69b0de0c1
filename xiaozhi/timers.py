"""The delayed calls of one connection, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xiaozhi.link import Link


class Timers:
    """Call things later, each under its name. A fault in one closes the connection (1011)."""

    log = Logger()

    def __init__(self, clock: Any, link: Link) -> None:
        """Serve the connection behind `link`."""
        self.clock = clock
        self._link = link
        self._calls: dict[str, IDelayedCall] = {}

    @property
    def now(self) -> float:
        """Tell the time, in the clock's seconds."""
        return float(self.clock.seconds())

    def __contains__(self, name: str) -> bool:
        """Say whether the timer `name` is running."""
        return name in self._calls

    def after(self, name: str, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Call once, later; replaces the timer of the same name."""

        def ring() -> None:
            del self._calls[name]
            try:
                call(*args)
            except Exception:
                self.log.failure("our fault")
                self._link.close(1011, "internal error")

        self.cancel(name)
        self._calls[name] = self.clock.callLater(seconds, ring)

    def cancel(self, name: str) -> None:
        """Forget the timer `name`, if it is running."""
        if (call := self._calls.pop(name, None)) is not None:
            call.cancel()

    def stop(self) -> None:
        """Forget them all."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
