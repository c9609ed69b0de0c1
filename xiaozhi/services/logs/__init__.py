"""The log: events become lines (`lines.py`), without secrets (`masking.py`), in files."""

from __future__ import annotations

from typing import Protocol

import attrs
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from xiaozhi.services.logs.lines import Lines


class Sink(Protocol):
    """Where lines go."""

    lost: int
    """Lines that could not be written."""

    def write(self, line: str) -> None:
        """Write a line with its end; never raises."""


@implementer(ILogObserver)
@attrs.frozen
class Log:
    """Twisted's observer: writes what `lines` makes of an event to the `sink`."""

    lines: Lines
    sink: Sink

    def __call__(self, event: LogEvent) -> None:
        """Take an event, in any thread."""
        line = self.lines.render(event)
        if line is not None:
            self.sink.write(line)
