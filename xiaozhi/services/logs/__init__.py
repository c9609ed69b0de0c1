"""The log: events become lines (`lines.py`), without secrets (`masking.py`), in files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import attrs
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from xiaozhi.services.logs.lines import Lines
from xiaozhi.upkeep import Log as Settings


class Sink(Protocol):
    """Where lines go."""

    lost: int
    """Lines that could not be written."""

    def write(self, line: str) -> None:
        """Write a line with its end; never raises."""


@implementer(ILogObserver)
@attrs.define(eq=False)
class Log:
    """Twisted's observer: writes what `lines` makes of an event to the `sink`."""

    lines: Lines
    sink: Sink

    def change(self, settings: Settings, secrets: Collection[str]) -> None:
        """Write as `settings` say, to the same place, and keep these `secrets` out, too."""
        masking = self.lines.masking.with_more(secrets)
        self.lines = attrs.evolve(self.lines, settings=settings, masking=masking)

    def __call__(self, event: LogEvent) -> None:
        """Take an event, in any thread."""
        line = self.lines.render(event)
        if line is not None:
            self.sink.write(line)
