"""Lines of the log: what they say, and what no device can make them say."""

from __future__ import annotations

import json
from typing import Any

from twisted.logger import LogEvent, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.scope import Scope, about
from xiaozhi.services.logs.lines import Lines
from xiaozhi.services.logs.masking import Masking
from xiaozhi.upkeep import Log as Settings


def event(**fields: object) -> LogEvent:
    return {
        "log_time": 0.5,
        "log_level": LogLevel.info,
        "log_namespace": "xiaozhi.session",
        "log_format": "hello {who}",
        "who": "you",
    } | fields


def failure() -> Failure:
    try:
        raise ZeroDivisionError("oops\n12:00:00 forged")
    except ZeroDivisionError:
        return Failure()


class Text(SynchronousTestCase):
    lines = Lines(Settings(), terse=True)

    def test_plain(self) -> None:
        """A line has the time of day and the text; trouble has its level too."""
        self.assertRegex(self.lines.render(event()) or "", r"^\d\d:\d\d:\d\d hello you\n$")
        self.assertIn(" warn: hello", self.lines.render(event(log_level=LogLevel.warn)) or "")

    def test_file(self) -> None:
        """In a file, it has the date and the offset."""
        line = Lines(Settings()).render(event())
        self.assertRegex(
            line or "", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.500[+-]\d\d:\d\d hello you\n$"
        )

    def test_session(self) -> None:
        """What is done for a session bears its id."""
        with about(Scope("s1", "AA:BB")):
            self.assertRegex(self.lines.render(event()) or "", r" s1: hello you\n$")
        self.assertNotIn("s1", self.lines.render(event()) or "")

    def test_chatter(self) -> None:
        """What libraries say in passing is left out, unless it is trouble, or asked for."""
        loud = Lines(Settings(level="debug"))
        for namespace in ("twisted.web.server", "autobahn.x", "-"):
            said = event(log_namespace=namespace)
            self.assertIsNone(self.lines.render(said))
            self.assertIsNotNone(self.lines.render(said | {"log_level": LogLevel.error}))
            self.assertIsNotNone(loud.render(said | {"log_level": LogLevel.debug}))
        self.assertIsNone(self.lines.render(event(log_format="")))

    def test_level(self) -> None:
        """Less than the level asked for is left out."""
        quiet = Lines(Settings(level="warn"))
        self.assertIsNone(quiet.render(event()))
        self.assertIsNotNone(quiet.render(event(log_level=LogLevel.warn)))

    def test_no_forgery(self) -> None:
        """No value and no traceback begins a line of its own."""
        for sneaky in ("a\nb", "a\rb", "a\x1b[2Jb", "a\u2028b", "a\x85b", "a\ud800b"):
            line = self.lines.render(event(who=sneaky)) or ""
            self.assertEqual(line.splitlines(keepends=True), [line])
            self.assertNotIn(sneaky[1], line[:-1])
        trace = self.lines.render(event(log_failure=failure())) or ""
        others = trace.splitlines()[1:]
        self.assertTrue(others and all(line.startswith("    ") for line in others), trace)
        self.assertIn("ZeroDivisionError: oops", trace)

    def test_long(self) -> None:
        """What is long is cut, and says how long it was."""
        line = Lines(Settings(max_message_length=200)).render(event(who="x" * 300)) or ""
        self.assertIn("x" * 190, line)
        self.assertLess(len(line), 300)
        self.assertIn("characters)", line)

    def test_speech(self) -> None:
        """What people say is nobody's business, unless the configuration says so."""
        said = event(log_format="heard {speech!r}", speech="my secret wish")
        self.assertTrue((self.lines.render(said) or "").endswith("heard '(14 characters)'\n"))
        loud = Lines(Settings(speech=True)).render(said) or ""
        self.assertTrue(loud.endswith("heard 'my secret wish'\n"))


class Json(SynchronousTestCase):
    lines = Lines(Settings(format="json", max_message_length=200), Masking(["hunter22"]))

    def read(self, **fields: object) -> dict[str, Any]:
        line = self.lines.render(event(**fields)) or ""
        self.assertEqual(line.splitlines(keepends=True), [line])
        record: dict[str, Any] = json.loads(line)
        return record

    def test_record(self) -> None:
        """A record has its time in UTC, its origin, its text, and the plain values of it."""
        with about(Scope("s1", "AA:BB")):
            record = self.read(count=3, rate=0.5, on=True, none=None, thing=object())
        self.assertEqual(
            record,
            {
                "time": "1970-01-01T00:00:00.500000Z",
                "level": "info",
                "logger": "xiaozhi.session",
                "session": "s1",
                "device": "AA:BB",
                "event": "hello you",
                "who": "you",
                "count": 3,
                "rate": 0.5,
                "on": True,
                "none": None,
            },
        )

    def test_device(self) -> None:
        """What is about a device that has no session yet has its id, too."""
        self.assertEqual(self.read(device="AA:BB")["device"], "AA:BB")
        self.assertNotIn("device", self.read(device=object()))
        with about(Scope("s1", "AA:BB")):
            self.assertEqual(self.read(device="other")["device"], "AA:BB")

    def test_own_keys(self) -> None:
        """An event cannot pass for another: what the record itself says comes first."""
        record = self.read(session="forged", level="none", trace="none")
        self.assertEqual((record["level"], "session" in record, "trace" in record), ("info", 0, 0))

    def test_trace(self) -> None:
        """A failure is told with its traceback."""
        self.assertIn("ZeroDivisionError: oops", self.read(log_failure=failure())["trace"])

    def test_any_text(self) -> None:
        """Whatever a text has in it, a record is one line of JSON."""
        for text in ("a\n\u2028\x85b", '"}{', "\ud800", "\x00", "你好"):
            self.assertIn("who", self.read(who=text))

    def test_secrets(self) -> None:
        """A secret is masked wherever it is: under its key, in an address, in a traceback."""
        try:
            raise ValueError("https://x/?token=abc123 hunter22")
        except ValueError:
            record = self.read(api_key="abc", who="hunter22 hunter22", log_failure=Failure())
        self.assertEqual((record["api_key"], record["who"]), ("***", "*** ***"))
        self.assertIn("https://x/?token=*** ***", record["trace"])
        self.assertNotIn("hunter22", json.dumps(record))

    def test_secret_at_the_cut(self) -> None:
        """A secret is not cut in half before it is known."""
        self.assertNotIn("hunter", self.read(who="x" * 195 + "hunter22")["who"])
