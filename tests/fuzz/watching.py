"""What counts as a defect beside an exception: trouble in the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher


class Defect(AssertionError):
    """The server did what it must not do."""


@contextmanager
def quiet_log() -> Iterator[None]:
    """Raise Defect if anything is logged that is a failure, or that cannot be written."""
    found: list[str] = []

    def see(event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            found.append(failure.getTraceback())
        elif event["log_level"] >= LogLevel.error or "Unable to format" in formatEvent(event):
            found.append(formatEvent(event))

    observer = cast("ILogObserver", see)
    globalLogPublisher.addObserver(observer)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observer)
    if found:
        raise Defect("in the log:\n" + "\n".join(found))
