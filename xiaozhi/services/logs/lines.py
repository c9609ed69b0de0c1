"""Events become lines: text for people, or JSON for programs.

What is in an event may come from a device. So no line can be forged by it (control characters
are escaped, further lines of a traceback indented), and none grows without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import msgspec
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure

from xiaozhi.scope import Scope, current
from xiaozhi.services.logs.masking import MASK, Masking, is_secret
from xiaozhi.upkeep import Log as Settings

_QUIET = ("twisted.", "autobahn.", "log_legacy", "-")
"""Whose ordinary messages say nothing to an operator."""
_OWN: Final = {"time", "level", "logger", "session", "device", "event", "trace"}
"""Keys of a JSON line that no event can take."""
_PLAIN: Final = str | int | float | None
"""What is written of an event's own keys."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_JSON = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Characters that JSON lets pass, and some program takes for the end of a line."""
_LONGEST: Final = 100
"""Lines of a traceback."""


@attrs.frozen
class Lines:
    """Makes lines of events."""

    settings: Settings
    masking: Masking = attrs.field(factory=Masking)
    terse: bool = False
    """Whether people look on: then a line of text has the time of day only."""

    def render(self, event: LogEvent) -> str | None:
        """Make a line, with its end; None of an event nobody needs."""
        level = event.get("log_level", LogLevel.info)
        if level < LogLevel.levelWithName(self.settings.level) or self._is_chatter(event, level):
            return None
        shown = {key: self._shown(key, value) for key, value in event.items()}
        text = self._cut(self.masking(formatEvent(shown)))
        if not text:
            return None
        write = self._json if self.settings.format == "json" else self._text
        return write(shown, level.name, text, current())

    def _is_chatter(self, event: LogEvent, level: Any) -> bool:
        return (
            level < LogLevel.warn
            and self.settings.level != "debug"
            and str(event.get("log_namespace", "-")).startswith(_QUIET)
        )

    def _shown(self, key: str, value: Any) -> Any:
        """Give a value as it may be written."""
        if key.startswith("log_"):
            return value
        if isinstance(value, str):
            if key == "speech" and not self.settings.speech:
                return f"({len(value)} characters)"
            if is_secret(key):
                return MASK
            # Masked first, as half of a secret is not recognised; but not all of a long text.
            return self._cut(self.masking(value[: 2 * self.settings.max_message_length]))
        return MASK if is_secret(key) and not isinstance(value, int | float | None) else value

    def _cut(self, text: str) -> str:
        limit = self.settings.max_message_length
        return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"

    def _text(self, event: LogEvent, level: str, text: str, scope: Scope | None) -> str:
        moment = datetime.fromtimestamp(event["log_time"]).astimezone()
        time = f"{moment:%H:%M:%S}" if self.terse else moment.isoformat(timespec="milliseconds")
        mark = "" if level in ("debug", "info") else f"{level}: "
        whose = "" if scope is None else f"{scope.session}: "
        lines = [f"{time} {whose}{mark}{_escaped(text)}"]
        lines += (f"    {_escaped(line)}" for line in self._trace(event))
        return "\n".join(lines) + "\n"

    def _json(self, event: LogEvent, level: str, text: str, scope: Scope | None) -> str:
        moment = datetime.fromtimestamp(event["log_time"], UTC)
        record: dict[str, Any] = {
            "time": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": level,
            "logger": str(event.get("log_namespace", "-")),
        }
        if scope is not None:
            record |= {"session": scope.session, "device": scope.device}
        elif isinstance(device := event.get("device"), str):  # one that has no session
            record["device"] = device
        record["event"] = text
        record |= self._plain(event)
        if trace := "\n".join(self._trace(event)):
            record["trace"] = trace
        encoded = msgspec.json.encode(_without_surrogates(record)).decode()
        return _NOT_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded) + "\n"

    def _plain(self, event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield what a program can read of the event's own keys."""
        for key, value in event.items():
            if isinstance(value, _PLAIN) and not key.startswith("log_") and key not in _OWN:
                yield key, value

    def _trace(self, event: LogEvent) -> list[str]:
        """Tell where the failure of an event came from, if it has one; the end matters most."""
        failure = event.get("log_failure")
        if not isinstance(failure, Failure):
            return []
        lines = self.masking(failure.getTraceback()).splitlines()
        return [self._cut(line) for line in lines[-_LONGEST:]]


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def _without_surrogates(record: Mapping[str, Any]) -> dict[str, Any]:
    """Escape what no UTF-8 can hold (a name of a file may have it)."""
    return {
        key: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for key, value in record.items()
    }
