"""The picture: latency, processor time and stalls against the number of devices."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import StrMethodFormatter

from bench.playback import BURST, FRAME
from bench.results import HOLD, Level, Results, Who

_COLOURS: Final[dict[Who, str]] = {"instant": "#1f5fa8", "remote": "#c4661f", "floor": "#777777"}
_NAMES: Final[dict[Who, str]] = {
    "instant": "server, engines that answer at once",
    "remote": "server, engines behind HTTP",
    "floor": "floor: Opus, voice detection, Autobahn",
}
_AIM: Final = "#2e8b57"
_LIMIT: Final = "#b03030"


def draw(results: Results, delays: float, path: Path) -> None:
    """Draw the levels; `delays` is what the engines behind HTTP take, in seconds."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 0.95), h_pad=0.1, w_pad=0.1)
        figure = Figure(figsize=(11, 8), dpi=120, layout=layout)
        panels = [axes for row in figure.subplots(2, 2) for axes in row]
        latency, cpu, late, spoilt = panels
        _latency(latency, results, {"instant": HOLD, "remote": delays, "floor": 0.0})
        _cpu(cpu, results)
        _late(late, results)
        _spoilt(spoilt, results)
        last = max((level.devices for level in results.levels), default=1)
        for axes in panels:
            axes.set_xlim(0, last * 1.04)
            axes.grid(axis="y", color="#e6e6e6")
            axes.set_axisbelow(True)
        for axes in (late, spoilt):
            axes.set_xlabel("devices talking at once")
        lines = {line.get_label(): line for line in cpu.get_lines()}
        named = [name for name in _NAMES.values() if name in lines]
        figure.legend(
            [lines[name] for name in named],
            named,
            loc="upper center",
            ncols=3,
            frameon=False,
        )
        figure.savefig(path)


def _line(axes: Axes, levels: list[Level], values: list[float], *, worse: bool = False) -> None:
    """Draw one figure of one server; the `worse` of two is dotted."""
    if levels:
        axes.plot(
            [level.devices for level in levels],
            values,
            color=_COLOURS[levels[0].who],
            linestyle=":" if worse else "-",
            linewidth=1.5 if worse else 2.0,
            marker="o",
            markersize=3 if worse else 4,
            label=_NAMES[levels[0].who],
        )


def _mark(axes: Axes, value: float, text: str, colour: str) -> None:
    """Draw a line across, with what it means."""
    axes.axhline(value, color=colour, linewidth=1, linestyle=(0, (5, 3)))
    axes.annotate(
        text,
        (0.0, value),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(4, 3),
        color=colour,
        fontsize=9,
    )


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _ms(seconds: float) -> float:
    """Give milliseconds that a logarithmic scale can show."""
    return max(0.1, seconds * 1000)


def _latency(axes: Axes, results: Results, known: dict[Who, float]) -> None:
    axes.set_title("First sound, beyond what must be: p50, dotted p95", loc="left")
    axes.set_ylabel("ms")
    _logarithmic(axes)
    for who, less in known.items():
        levels = results.of(who)
        _line(axes, levels, [_ms(level.first.p50 - less) for level in levels])
        _line(axes, levels, [_ms(level.first.p95 - less) for level in levels], worse=True)
    _mark(axes, 100, "aim for p95 at 100 devices", _AIM)


def _cpu(axes: Axes, results: Results) -> None:
    axes.set_title("Processor time for one turn (3 s heard, 6.5 s spoken)", loc="left")
    axes.set_ylabel("ms")
    for who in _NAMES:
        levels = results.of(who)
        _line(axes, levels, [level.cpu * 1000 for level in levels])
    _mark(axes, 70, "aim", _AIM)
    axes.set_ylim(bottom=0)


def _late(axes: Axes, results: Results) -> None:
    axes.set_title("Frames behind their schedule: p95, dotted the worst", loc="left")
    axes.set_ylabel("ms")
    _logarithmic(axes)
    for who in _NAMES:
        levels = results.of(who)
        _line(axes, levels, [_ms(level.late.p95) for level in levels])
        _line(axes, levels, [_ms(level.late.most) for level in levels], worse=True)
    _mark(axes, (BURST - 1) * FRAME * 1000, "a device runs dry", _LIMIT)


def _spoilt(axes: Axes, results: Results) -> None:
    axes.set_title("Turns with a stall, or without all of their sound", loc="left")
    axes.set_ylabel("%")
    most = 1.0
    for who in _NAMES:
        levels = results.of(who)
        shares = [100 * level.spoilt / max(1, level.turns + level.lost) for level in levels]
        most = max([most, *shares])
        _line(axes, levels, shares)
    axes.set_ylim(-most * 0.02, most * 1.05)
