"""The log as people read it on a terminal."""

from __future__ import annotations

import sys
from datetime import datetime

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure

_QUIET = ("twisted.", "autobahn.", "log_legacy", "-")
"""Whose ordinary messages say nothing to an operator."""


def console() -> ILogObserver:
    """Write to standard output; for `twistd --logger`."""
    return FileLogObserver(sys.stdout, line)


def line(event: LogEvent) -> str | None:
    """Write one event as a line with the time of day; None for one nobody needs."""
    level = event.get("log_level", LogLevel.info)
    text = formatEvent(event)
    if not text or (
        level < LogLevel.warn and str(event.get("log_namespace", "-")).startswith(_QUIET)
    ):
        return None
    time = datetime.fromtimestamp(event["log_time"]).strftime("%H:%M:%S")
    mark = "" if level < LogLevel.warn else f"{level.name}: "
    failure = event.get("log_failure")
    trace = f"\n{failure.getTraceback()}" if isinstance(failure, Failure) else ""
    return f"{time} {mark}{text}{trace}\n"
