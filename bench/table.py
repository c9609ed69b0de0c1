"""The figures as a table, beside the floor and the aims. Aims never fail anything."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from bench.results import HOLD, Gaps, Level, Results, Spread, Tools
from xiaozhi.manners import Manners


@attrs.frozen
class Row:
    """One figure."""

    what: str
    value: str
    floor: str = ""
    aim: str = ""
    met: bool | None = None
    """Whether the aim was reached; None where there is none."""


def rows(results: Results, delays: float) -> Iterator[Row]:
    """Give every figure there is; `delays` is what the services on loopback take, in seconds."""
    for level in results.of("instant"):
        yield from _latency(results, level, HOLD, _instant_aim(level.devices))
    for level in results.of("remote"):
        yield from _latency(results, level, delays, 0.05 if level.devices <= 50 else None)
    yield from _kinds(results)
    for level in results.of("instant"):
        yield from _cpu(results, level)
    for level in results.of("remote"):
        yield from _cpu(results, level)
    for level in (*results.of("instant"), *results.of("remote")):
        yield from _frames(results, level)
    yield from _capacity(results)
    yield from _gaps("instant engines", results.gaps)
    yield from _gaps("Whisper and Piper", results.gaps_real)
    yield from _tools(results.tools)
    yield from _house(results)


def render(results: Results, delays: float) -> str:
    """Write the table for a terminal, and for a page in Markdown just as well."""
    cells = [("figure", "server", "floor", "aim", "")]
    cells += [
        (row.what, row.value, row.floor, row.aim, {True: "ok", False: "not yet", None: ""}[row.met])
        for row in rows(results, delays)
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def ms(seconds: float) -> str:
    """Write a time in milliseconds."""
    return f"{seconds * 1000:.1f}"


def _pair(spread: Spread) -> str:
    return f"{ms(spread.p50)} / {ms(spread.p95)}"


def _instant_aim(devices: int) -> tuple[float | None, float] | None:
    return {50: (0.010, 0.040), 100: (None, 0.100)}.get(devices)


def _name(level: Level) -> str:
    return f"{level.who}, {level.devices}"


def _latency(
    results: Results, level: Level, known: float, aim: tuple[float | None, float] | float | None
) -> Iterator[Row]:
    """Say how soon the first sound comes, without what is `known` to take its time."""
    beyond = level.first.less(known)
    floor = results.level("floor", level.devices)
    aims: list[tuple[str, float, float]] = []
    if isinstance(aim, float):
        aims = [("p50", beyond.p50, aim)]
    elif aim is not None:
        wanted = (("p50", beyond.p50, aim[0]), ("p95", beyond.p95, aim[1]))
        aims = [(name, value, most) for name, value, most in wanted if most is not None]
    yield Row(
        f"{_name(level)}: first sound, beyond, p50 / p95 ms",
        _pair(beyond),
        _pair(floor.first) if floor and level.who == "instant" else "",
        ", ".join(f"{name} <= {most * 1000:g}" for name, _, most in aims),
        all(value <= most for _, value, most in aims) if aims else None,
    )
    whole = level.first.p50 + level.window
    yield Row(
        f"{_name(level)}: from the end of speech, p50 ms",
        f"{whole * 1000:.0f} = {level.window * 1000:.0f} silence + {known * 1000:.0f}"
        f" {'hold' if level.who == 'instant' else 'services'} + {ms(beyond.p50)}",
    )


def _kinds(results: Results) -> Iterator[Row]:
    """Say the same of questions that do not end by silence."""
    kinds = (("typed", results.typed, 0.0), ("button", results.button, Manners().tail))
    for name, spread, tail in kinds:
        if spread:
            parts = f"hold {HOLD * 1000:.0f}" + (f", tail {tail * 1000:.0f}" if tail else "")
            yield Row(
                f"{name}: first sound, beyond, p50 / p95 ms",
                f"{_pair(spread.less(HOLD + tail))} (raw p50 {ms(spread.p50)}: {parts})",
            )


def _cpu(results: Results, level: Level) -> Iterator[Row]:
    floor = results.level("floor", level.devices)
    times = f" ({level.cpu / floor.cpu:.2f} x)" if floor else ""
    judged = level.who == "instant" and level.devices > 1 and floor is not None
    yield Row(
        f"{_name(level)}: CPU s per turn",
        f"{level.cpu:.4f}{times}",
        f"{floor.cpu:.4f}" if floor else "",
        "<= 0.07, <= 1.3 x" if judged else "",
        level.cpu <= 0.07 and level.cpu <= 1.3 * floor.cpu if judged and floor else None,
    )


def _frames(results: Results, level: Level) -> Iterator[Row]:
    floor = results.level("floor", level.devices)

    def late(found: Level) -> str:
        return f"{ms(found.late.p50)} / {ms(found.late.p95)} / {ms(found.late.most)}"

    def dry(found: Level) -> str:
        lost = f", {found.lost} turns without all of their sound" if found.lost else ""
        return f"{found.stalls}{lost}"

    judged = level.who == "instant" and level.devices == 100
    yield Row(
        f"{_name(level)}: frames late, p50 / p95 / max ms",
        late(level),
        late(floor) if floor else "",
    )
    yield Row(
        f"{_name(level)}: stalls in {level.turns + level.lost} turns",
        dry(level),
        dry(floor) if floor else "",
        "0" if judged else "",
        not level.spoilt if judged else None,
    )


def _capacity(results: Results) -> Iterator[Row]:
    levels = results.of("instant")
    if levels:
        good, bad = capacity(levels)
        yield Row(
            "instant: devices talking without a stall",
            f"{good}" + (f" (not at {bad})" if bad else " (more was not tried)"),
        )


def capacity(levels: list[Level]) -> tuple[int, int | None]:
    """Find the most devices that talk without a stall, and the number at which there are some."""
    good = 0
    for level in levels:
        if level.spoilt:
            return good, level.devices
        good = level.devices
    return good, None


def _gaps(engines: str, gaps: Gaps | None) -> Iterator[Row]:
    if gaps is None:
        return
    spread = gaps.spread
    yield Row(
        f"reactor gaps, {engines}, p50 / p99.9 / max ms",
        f"{ms(spread.p50)} / {ms(spread.p999)} / {ms(spread.most)}",
        aim="p99.9 <= 20",
        met=spread.p999 <= 0.020,
    )
    for gap in gaps.worst[:1]:
        yield Row("  the longest", f"{ms(gap.late)}: {gap.cause}")


def _tools(tools: Tools | None) -> Iterator[Row]:
    """Say what tools add, beside a bare request to the model; and what the grammar takes."""
    if tools is None:
        return
    yield Row("typed, no tool: first sound, beyond, p50 / p95 ms", _pair(tools.plain))
    for kind, spread in tools.added.items():
        yield Row(f"tool of the {kind}: added, p50 / p95 ms", _pair(spread), _pair(tools.request))
    for name, found, floor in (
        ("`tts start`", tools.grammar.started, tools.echo.started),
        ("first sound, beyond", tools.grammar.sounded, tools.echo.sounded),
    ):
        yield Row(f"grammar: {name}, p50 / p95 ms", _pair(found), _pair(floor))
    first, last = tools.sent
    yield Row(
        "long talk, turns 1 to 5: first sound, beyond, p50 ms",
        f"{ms(tools.early.p50)} ({first / 1000:.1f} kB to the model)",
    )
    yield Row(
        f"long talk, turns {tools.turns - 4} to {tools.turns}: the same",
        f"{ms(tools.late.p50)} ({last / 1000:.1f} kB to the model)",
    )


def _house(results: Results) -> Iterator[Row]:
    """Say what devices cost that do not talk, and what starting takes."""
    for rate, more in ((results.connections, ""), (results.connections_guarded, ", with tokens")):
        if rate is not None:
            name = f"connect, hello, close, a second{more}"
            yield Row(name, f"{rate:.0f}", aim=">= 600", met=rate >= 600)
    if (idle := results.idle) is not None:
        yield Row(
            f"memory for one of {idle.devices} idle devices, KB",
            f"{idle.memory / 1024:.1f}",
            aim="<= 25",
            met=idle.memory <= 25 * 1024,
        )
        yield Row(
            f"threads for {idle.devices} idle devices", f"{idle.threads}", "", "0", not idle.threads
        )
        yield Row(f"CPU for {idle.devices} idle devices, % of one", f"{idle.cpu * 100:.1f}")
    for name, found in (("default", results.start_usual), ("instant", results.start_instant)):
        if found:
            middle = found[len(found) // 2]
            yield Row(
                f"twistd to first answer, {name}, s (best {found[0]:.2f})",
                f"{middle:.2f}",
                aim="<= 1.2",
                met=middle <= 1.2,
            )


def progress(level: Level) -> str:
    """Say in a line what a level found."""
    return (
        f"{_name(level)}: {level.turns} turns, first p50 {ms(level.first.p50)}"
        f" p95 {ms(level.first.p95)} ms, CPU {level.cpu:.4f} s a turn, late p95"
        f" {ms(level.late.p95)} max {ms(level.late.most)} ms, {level.stalls} stalls,"
        f" {level.lost} lost; others took {level.others:.0%} of a processor, the load was late"
        f" p99 {ms(level.client_late[1])} ms and took {level.client_cpu:.4f} s a turn"
    )
