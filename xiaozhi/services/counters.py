"""What is counted while the server runs: the list of all metrics, and their values.

Everything that counts is handed the one `Counters`. Only the reactor's thread may use it.
`/metrics` (see `web/metrics.py`) tells what has come together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal

import attrs

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]

SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Upper ends, in seconds, of the classes a duration is counted in: what a user waits for."""
MOMENTS: Final = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""The same for what nobody should notice."""
_SUFFIXES: Final[Mapping[Kind, str]] = MappingProxyType(
    {"counter": "_total", "histogram": "_seconds"}
)


@attrs.frozen
class Metric:
    """Something that is counted."""

    kind: Kind
    help: str
    labels: Labels = ()
    classes: tuple[float, ...] = SECONDS

    def exported(self, name: str) -> str:
        """Tell how it is called outside, by the customs of Prometheus."""
        return f"xiaozhi_{name}{_SUFFIXES.get(self.kind, '')}"


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "build_info": Metric("gauge", "Always 1; the labels say what runs.", ("version", "python")),
        "connections": Metric("gauge", "WebSocket connections open now."),
        "connections_opened": Metric("counter", "WebSocket connections that were opened."),
        "connections_refused": Metric(
            "counter", "Connections that were refused, by the reason.", ("reason",)
        ),
        "connections_ended": Metric(
            "counter", "Connections the server closed, by the code of RFC 6455.", ("code",)
        ),
        "takeovers": Metric("counter", "Connections that took a device over from an older one."),
        "registrations_failed": Metric(
            "counter", "Devices that were sent away after their hello, by why.", ("reason",)
        ),
        "memories_lost": Metric(
            "counter", "Sessions whose memory could not be kept: the disk or the journal is full."
        ),
        "operators_refused": Metric(
            "counter", "Requests to /api/ that were refused, by the reason.", ("reason",)
        ),
        "sessions": Metric("gauge", "Sessions now, by whose turn it is.", ("state",)),
        "turns": Metric("counter", "Questions that were answered: spoken or typed.", ("how",)),
        "turns_failed": Metric("counter", "Turns that ended with an error of the server's own."),
        "turn_latency": Metric(
            "histogram", "From the end of the user's speech to the first sound of the answer."
        ),
        "frames_received": Metric("counter", "Audio frames from devices."),
        "frames_sent": Metric("counter", "Audio frames to devices."),
        "frames_dropped": Metric(
            "counter", "Frames and messages that did not go: the device does not read."
        ),
        "messages_malformed": Metric("counter", "Messages of devices that made no sense."),
        "orders_refused": Metric("counter", "Messages of type `server` with a wrong secret."),
        "tool_calls": Metric(
            "counter",
            "Calls of tools by models and by the grammar, by how they ended.",
            ("outcome",),
        ),
        "device_tool_calls": Metric(
            "counter", "Calls of the tools of devices, by what came of them.", ("result",)
        ),
        "device_tool_call": Metric("histogram", "What a call of a device's tool took."),
        "engine_first_result": Metric(
            "histogram",
            "What an engine took to its first result: a text, a piece of text, a piece of sound.",
            ("kind", "engine"),
        ),
        "engine_requests": Metric(
            "counter", "What engines were asked for and did.", ("kind", "engine")
        ),
        "engine_failures": Metric(
            "counter", "How often an engine failed, probes aside.", ("kind", "engine")
        ),
        "engine_fit": Metric(
            "gauge", "1 while an engine is asked, 0 while it rests.", ("kind", "engine")
        ),
        "mcp_connected": Metric(
            "gauge",
            "Sessions with an MCP server: 1 or 0; `endpoint` is for those that come to us.",
            ("server",),
        ),
        "mcp_calls": Metric(
            "counter",
            "Calls of MCP tools, by what came of them: done, failed (the tool says so), refused, "
            "late, lost (with the connection), cancelled.",
            ("server", "outcome"),
        ),
        "reactor_lag": Metric(
            "histogram", "How late the reactor was for a timer of its own.", classes=MOMENTS
        ),
        "pool_threads": Metric("gauge", "Threads a pool may have.", ("pool",)),
        "pool_busy": Metric("gauge", "Calls that run in a pool now.", ("pool",)),
        "pool_waiting": Metric("gauge", "Calls that wait for a thread of a pool.", ("pool",)),
        "tls_expiry_timestamp_seconds": Metric(
            "gauge", "When the certificate of the port ends, in seconds since 1970."
        ),
        "log_lost": Metric("counter", "Lines of the log that could not be written."),
    }
)
"""Everything that is counted, by its name in the code. Whoever counts more adds it here."""


@attrs.define
class Spread:
    """Durations, counted by class."""

    counts: list[int]
    """By class; the last is for those above all."""
    total: float = 0.0
    """Seconds altogether."""


class Counters:
    """The values of the `METRICS`.

    An unknown metric, or labels other than its own, are a KeyError: a mistake in the code.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self._values: dict[tuple[str, Labels], float] = {}
        self._spreads: dict[tuple[str, Labels], Spread] = {}
        self._read: dict[tuple[str, Labels], Callable[[], float]] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add `amount` to a counter, or to a gauge that is kept up to date by who changes it."""
        key = _key(name, labels)
        self._values[key] = self._values.get(key, 0.0) + amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Note a duration in a histogram."""
        key = _key(name, labels)
        classes = METRICS[name].classes
        spread = self._spreads.get(key)
        if spread is None:
            spread = self._spreads[key] = Spread([0] * (len(classes) + 1))
        spread.counts[bisect_left(classes, seconds)] += 1
        spread.total += seconds

    def gauge(self, name: str, read: Callable[[], float], **labels: str) -> None:
        """Have a value read when somebody asks; serves for counters that are kept elsewhere."""
        self._read[_key(name, labels)] = read

    def forget(self, name: str, **labels: str) -> None:
        """Read a gauge no more: what it tells of is gone."""
        self._read.pop(_key(name, labels), None)

    def value(self, name: str, **labels: str) -> float:
        """Tell a value; of a histogram, how many durations there were."""
        key = _key(name, labels)
        if (read := self._read.get(key)) is not None:
            return read()
        if (spread := self._spreads.get(key)) is not None:
            return sum(spread.counts)
        return self._values.get(key, 0.0)

    def values(self, name: str) -> Iterator[tuple[Labels, float]]:
        """Yield the values of a counter or a gauge, each with its labels."""
        metric = METRICS[name]
        if metric.kind == "counter" and not metric.labels:
            yield (), self.value(name)  # nothing is told, too, before the first time
            return
        for (known, labels), value in list(self._values.items()):
            if known == name:
                yield labels, value
        for (known, labels), read in list(self._read.items()):
            if known == name:
                yield labels, read()

    def spreads(self, name: str) -> Iterator[tuple[Labels, Spread]]:
        """Yield the durations of a histogram, with their labels."""
        for (metric, labels), spread in list(self._spreads.items()):
            if metric == name:
                yield labels, spread


def _key(name: str, given: Mapping[str, str]) -> tuple[str, Labels]:
    wanted = METRICS[name].labels
    if len(given) != len(wanted):
        raise KeyError(f"{name} has the labels {wanted}, not {tuple(given)}")
    return name, tuple([given[label] for label in wanted])
