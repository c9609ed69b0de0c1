"""The picture: latency, processor time and lateness against the number of devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.playback import BURST, FRAME
from bench.results import HOLD, Level, Results, Who

_COLOURS: Final[dict[Who, str]] = {"instant": "#1f5fa8", "remote": "#c4661f", "floor": "#777777"}
_NAMES: Final[dict[Who, str]] = {
    "instant": "server, instant engines",
    "remote": "server, HTTP engines",
    "floor": "floor",
}
_AIM: Final = "#2e8b57"


def draw(results: Results, delays: float, path: Path) -> None:
    """Draw the levels; `delays` is what the HTTP engines take by themselves, in seconds."""
    known: dict[Who, float] = {"instant": HOLD, "remote": delays, "floor": 0.0}
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 7.5), dpi=130, layout="constrained")
        (latency, cpu), (late, stalls) = figure.subplots(2, 2)
        for axes in (latency, cpu, late, stalls):
            axes.grid(axis="y", color="#e4e4e4")
            axes.set_axisbelow(True)
        _latency(latency, results, known)
        _cpu(cpu, results)
        _late(late, results)
        _stalls(stalls, results)
        last = max((level.devices for level in results.levels), default=1)
        for axes in (latency, cpu, late, stalls):
            axes.set_xlim(0, last * 1.03)
        for axes in (late, stalls):
            axes.set_xlabel("devices talking at once")
        figure.savefig(path)


def _line(
    axes: Axes, levels: list[Level], value: Callable[[Level], float], name: str, style: str = "-"
) -> None:
    if levels:
        axes.plot(
            [level.devices for level in levels],
            [value(level) for level in levels],
            style,
            color=_COLOURS[levels[0].who],
            marker="o",
            markersize=3.5,
            linewidth=1.6,
            label=name,
        )


def _aim(axes: Axes, value: float, text: str) -> None:
    axes.axhline(value, color=_AIM, linewidth=1, linestyle=(0, (5, 3)))
    axes.annotate(
        text,
        (1.0, value),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(-2, 3),
        ha="right",
        color=_AIM,
        fontsize=8,
    )


def _latency(axes: Axes, results: Results, known: dict[Who, float]) -> None:
    axes.set_title("First sound, after what must be waited for", loc="left")
    axes.set_ylabel("ms (logarithmic)")
    axes.set_yscale("log")
    for who, name in _NAMES.items():
        levels = results.of(who)

        def at(share: str, level: Level, less: float = known[who]) -> float:
            return max(0.1, float(getattr(level.first.less(less), share)) * 1000)

        _line(axes, levels, lambda level, at=at: at("p50", level), f"{name}, p50")  # type: ignore[misc]
        _line(axes, levels, lambda level, at=at: at("p95", level), f"{name}, p95", ":")  # type: ignore[misc]
    _aim(axes, 100, "aim at 100 devices: p95")
    axes.legend(frameon=False, fontsize=8)


def _cpu(axes: Axes, results: Results) -> None:
    axes.set_title("Processor time for one turn (3 s heard, 6.5 s spoken)", loc="left")
    axes.set_ylabel("ms")
    for who, name in _NAMES.items():
        _line(axes, results.of(who), lambda level: level.cpu * 1000, name)
    _aim(axes, 70, "aim")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)


def _late(axes: Axes, results: Results) -> None:
    axes.set_title("Frames behind the ideal schedule", loc="left")
    axes.set_ylabel("ms (logarithmic)")
    axes.set_yscale("log")
    for who, name in _NAMES.items():
        levels = results.of(who)
        _line(axes, levels, lambda level: max(0.1, level.late.p95 * 1000), f"{name}, p95", ":")
        _line(axes, levels, lambda level: max(0.1, level.late.most * 1000), f"{name}, worst")
    lead = (BURST - 1) * FRAME * 1000
    axes.axhline(lead, color="#b03030", linewidth=1)
    axes.annotate(
        "the device runs dry",
        (1.0, lead),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(-2, 3),
        ha="right",
        color="#b03030",
        fontsize=8,
    )
    axes.legend(frameon=False, fontsize=8)


def _stalls(axes: Axes, results: Results) -> None:
    axes.set_title("Stalls: sound ran dry in the middle of an answer", loc="left")
    axes.set_ylabel("stalls in a hundred turns")
    for who, name in _NAMES.items():
        levels = results.of(who)
        _line(axes, levels, lambda level: 100 * level.stalls / max(1, level.turns), name)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
