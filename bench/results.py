"""What a bench found: the figures by themselves, made of what the devices saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.devices import Turn
from bench.playback import FRAME, lateness, stalls
from bench.sounds import SPOKEN
from bench.tools import Report, Timing
from bench.watch import BEAT, Gap

Who = Literal["instant", "remote", "floor"]
"""The server with engines that answer at once, or with services that take their time; the floor."""

HOLD = FRAME
"""Seconds the contract demands between `tts start` and the first sound."""


class Spread(msgspec.Struct, frozen=True):
    """How values are spread: all in the unit of the values."""

    p50: float = 0.0
    p95: float = 0.0
    p999: float = 0.0
    most: float = 0.0
    count: int = 0

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Sort them."""
        found = sorted(values)
        if not found:
            return cls()
        return cls(
            percentile(found, 0.5),
            percentile(found, 0.95),
            percentile(found, 0.999),
            found[-1],
            len(found),
        )

    def less(self, amount: float) -> Spread:
        """Take `amount` from each value."""
        return Spread(
            self.p50 - amount, self.p95 - amount, self.p999 - amount, self.most - amount, self.count
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Find the value below which `share` of the `ordered` values are, by the nearest rank."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1e6) // 10**6) - 1))]


class Level(msgspec.Struct, frozen=True):
    """So many devices at once. Times in seconds."""

    who: Who
    devices: int
    turns: int
    """Turns that came to their end with all of their sound..."""
    lost: int
    """...and those that did not."""
    cpu: float
    """Processor time of the server for one turn."""
    first: Spread
    """From the end of the silence window (or of whatever else asks) to the first sound."""
    hold: Spread
    """From `tts start` to the first sound: part of `first`."""
    late: Spread
    """How late frames came."""
    stalls: int
    dry: float
    """Seconds without sound in the middle of answers, in all."""
    spoilt: int
    """Turns with stalls, and those that were lost."""
    window: float
    """From the end of the question to that of the silence window."""
    client_late: list[float]
    """How late the load's own packets went out: p50, p99, worst."""
    client_cpu: float
    """Processor time of the load, for one turn."""

    others: float
    """The share of a processor that was taken by processes that are none of the bench's."""

    @classmethod
    def of(cls, turns: Sequence[Turn], *, cpu: float, client_cpu: float, **more: Any) -> Level:
        """Sum up the `turns`, which cost `cpu` and `client_cpu` seconds in all."""
        done = [turn for turn in turns if turn.over and len(turn.arrivals) == SPOKEN]
        lost = len(turns) - len(done)
        dry = [stall for turn in turns for stall in stalls(turn.arrivals)]
        return cls(
            turns=len(done),
            lost=lost,
            spoilt=lost + sum(bool(stalls(turn.arrivals)) for turn in done),
            cpu=cpu / max(1, len(done)),
            client_cpu=client_cpu / max(1, len(done)),
            first=Spread.of(turn.arrivals[0] - turn.asked for turn in done),
            hold=Spread.of(turn.arrivals[0] - turn.started for turn in done if turn.started),
            late=Spread.of(late for turn in done for late in lateness(turn.arrivals)),
            stalls=len(dry),
            dry=sum(stall.seconds for stall in dry),
            **more,
        )


class Gaps(msgspec.Struct, frozen=True):
    """How long the reactor was busy with one thing. Times in seconds."""

    spread: Spread
    worst: list[Gap]

    @classmethod
    def within(cls, gaps: Sequence[Gap], begin: float, end: float) -> Gaps:
        """Take those between two moments of the monotonic clock."""
        chosen = [gap for gap in gaps if begin <= gap.at <= end + BEAT]
        worst = sorted(chosen, key=lambda gap: -gap.late)[:5]
        return cls(Spread.of(gap.late for gap in chosen), worst)


class Idle(msgspec.Struct, frozen=True):
    """What devices cost that are connected and quiet."""

    devices: int
    memory: float
    """Bytes for one."""
    threads: int
    """Threads more than without them, for all."""
    cpu: float
    """Share of a processor that all of them take."""


class Tools(msgspec.Struct, frozen=True):
    """Turns with tools. Times in seconds."""

    plain: Spread
    """From a typed question to the first frame, with no tool at all, the hold left out."""
    added: dict[str, Spread]
    """What a round trip adds to that, beyond its median, by the kind of tool."""
    request: Spread
    """A bare request to the model: the floor of that."""
    grammar: Timings
    echo: Timings
    """The floor of the grammar's."""
    early: Spread
    """To the first frame in the first five turns of a talk, the hold left out..."""
    late: Spread
    """...and in the last five."""
    turns: int
    """How many there were."""
    sent: tuple[int, int]
    """Bytes that the model was sent in the first turn, and in the last."""

    @classmethod
    def of(cls, singly: Report, at_length: Report, sizes: Sequence[int]) -> Tools:
        """Sum up single turns, and long talks in which the model was sent so much each time."""
        sounded = {
            kind: Spread.of(each.sounded - HOLD for each in timings)
            for kind, timings in singly.kinds.items()
        }
        plain = sounded.pop("plain")
        talks = at_length.talks
        return cls(
            plain,
            {kind: spread.less(plain.p50) for kind, spread in sounded.items()},
            Spread.of(singly.requests),
            Timings.of(singly.grammar, HOLD),
            Timings.of(singly.echo, 0.0),
            Spread.of(each.sounded - HOLD for talk in talks for each in talk[:5]),
            Spread.of(each.sounded - HOLD for talk in talks for each in talk[-5:]),
            len(talks[0]),
            (sizes[0], sizes[-1]),
        )


class Timings(msgspec.Struct, frozen=True):
    """From a question to its answer."""

    started: Spread
    """To `tts start`."""
    sounded: Spread
    """To the first frame, without the hold."""

    @classmethod
    def of(cls, timings: Sequence[Timing], hold: float) -> Timings:
        """Sum up, and leave the `hold` out."""
        return cls(
            Spread.of(each.started for each in timings),
            Spread.of(each.sounded - hold for each in timings),
        )


class Results(msgspec.Struct):
    """All a run has found; what was left out is None or empty."""

    levels: list[Level] = []
    typed: Spread | None = None
    button: Spread | None = None
    gaps: Gaps | None = None
    """With engines that answer at once."""
    gaps_real: Gaps | None = None
    """With Whisper and Piper at work."""
    connections: float | None = None
    """Connect, hello and close, a second."""
    connections_guarded: float | None = None
    """The same, of devices that are known and show their tokens."""
    tools: Tools | None = None
    idle: Idle | None = None
    start_usual: list[float] = []
    """Seconds from the command to the first answer, as configured by default."""
    start_instant: list[float] = []

    def level(self, who: Who, devices: int) -> Level | None:
        """Find a level."""
        return next((each for each in self.of(who) if each.devices == devices), None)

    def of(self, who: Who) -> list[Level]:
        """Give the levels of one server, by the number of devices."""
        return sorted(
            (each for each in self.levels if each.who == who), key=lambda each: each.devices
        )

    def save(self, path: Path) -> None:
        """Write them to a file."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)))

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read them again."""
        return msgspec.json.decode(path.read_bytes(), type=cls)
