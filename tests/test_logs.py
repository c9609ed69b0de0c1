"""The log on a terminal."""

from __future__ import annotations

from twisted.logger import LogEvent, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.logs import line


def event(**fields: object) -> LogEvent:
    return {
        "log_time": 0.0,
        "log_level": LogLevel.info,
        "log_namespace": "xiaozhi.session",
        "log_format": "hello {who}",
        "who": "you",
    } | fields


class Lines(SynchronousTestCase):
    def test_plain(self) -> None:
        """A line has the time of day and the text; trouble has its level too."""
        self.assertRegex(line(event()) or "", r"^\d\d:\d\d:\d\d hello you\n$")
        self.assertIn(" warn: hello", line(event(log_level=LogLevel.warn)) or "")

    def test_chatter(self) -> None:
        """What libraries say in passing is left out, unless it is trouble."""
        for namespace in ("twisted.web.server", "autobahn.x", "-"):
            self.assertIsNone(line(event(log_namespace=namespace)))
            self.assertIsNotNone(line(event(log_namespace=namespace, log_level=LogLevel.error)))
        self.assertIsNone(line(event(log_format="")))

    def test_traceback(self) -> None:
        """A failure brings its traceback."""
        try:
            raise ZeroDivisionError("oops")
        except ZeroDivisionError:
            text = line(event(log_failure=Failure(), log_level=LogLevel.critical))
        self.assertIn("ZeroDivisionError: oops", text or "")
