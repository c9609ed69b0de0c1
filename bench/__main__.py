"""`python -m bench`: one run, its figures as a table and as a picture."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from bench import figures, runs, servers, table
from bench.results import Results, Who
from bench.sounds import FOLDER, answer, question

PICTURE = Path(__file__).with_name("figures.png")

LEVELS: dict[Who, dict[int, int]] = {
    "floor": {1: 2, 50: 2, 100: 2},
    "instant": {1: 3, 50: 3, 100: 3},
    "remote": {1: 2, 50: 2, 100: 2},
}
"""Devices at once, and the turns of each of them."""
QUICK: dict[Who, dict[int, int]] = {"floor": {50: 1}, "instant": {50: 2}, "remote": {50: 1}}
LADDER = (150, 200, 250, 300, 350, 400)
"""Devices at once, until there are stalls; then the middle between the last two."""


@attrs.frozen
class Plan:
    """What is run, and where it goes."""

    quick: bool
    idle: int
    """Devices that are connected and quiet."""
    results: Results
    levels: dict[Who, dict[int, int]]

    def latency(self) -> None:
        """Measure the server and the floor at each level, and more devices until sound stalls."""
        for who, levels in self.levels.items():
            for devices, turns in levels.items():
                self._level(who, devices, turns)

    def capacity(self) -> None:
        """Find how many devices can talk until sound stalls."""
        good = max(self.levels["instant"])
        for devices in LADDER:
            if not self._level("instant", devices, 2):
                self._level("instant", (good + devices) // 2, 2)
                break
            good = devices

    def kinds(self) -> None:
        """Measure typed questions, and those a button ends."""
        runs.other_kinds(self.results, 50)

    def tools(self) -> None:
        """Measure the round trip of a tool, answers of the grammar, and long talks."""
        few, long = (20, 20) if self.quick else (50, 100)
        self.results.tools = runs.round_trips(few, long)

    def gaps(self) -> None:
        """Measure how long the reactor is held up."""
        self.results.gaps = runs.gaps(100, 1 if self.quick else 2)
        if not self.quick and runs.real_engines():
            self.results.gaps_real = runs.gaps(2, 3, "whisper", "piper")

    def doors(self) -> None:
        """Measure coming, going, and staying."""
        seconds = 3.0 if self.quick else 6.0
        self.results.connections = runs.connections(seconds)
        self.results.connections_guarded = runs.connections(seconds, guarded=True)
        self.results.idle = runs.idle(self.idle)

    def start(self) -> None:
        """Measure how long starting takes."""
        count = 2 if self.quick else 5
        self.results.start_usual = runs.starts(count, servers.usual)
        self.results.start_instant = runs.starts(count, runs.start_instant)

    def _level(self, who: Who, devices: int, turns: int) -> bool:
        """Measure a level; say whether every turn was as it should be."""
        found = runs.level(who, devices, turns)
        self.results.levels.append(found)
        print(f"  {table.progress(found)}", flush=True)
        return not found.spoilt


PARTS = ("start", "doors", "latency", "kinds", "tools", "gaps", "capacity")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is wanted, and show it."""
    parser = argparse.ArgumentParser(prog="bench", description="How fast the server is.")
    parser.add_argument("--quick", action="store_true", help="in two minutes, and less of it")
    parser.add_argument("--only", metavar="PARTS", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--idle", type=int, default=1000, help="devices that only are connected")
    parser.add_argument("--results", type=Path, default=FOLDER / "results.json", metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the levels there")
    options = parser.parse_args(arguments)
    usual = ("start", "doors", "latency") if options.quick else PARTS
    wanted = options.only.split(",") if options.only else usual
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    question(), answer()  # made now, if need be, and not while something is measured
    plan = Plan(options.quick, options.idle, Results(), QUICK if options.quick else LEVELS)
    for name in wanted:
        part: Callable[[], None] = getattr(plan, name)
        began = time.monotonic()
        print(f"{name}: {(part.__doc__ or '').strip()}", flush=True)
        part()
        print(f"  took {time.monotonic() - began:.0f} s", flush=True)
        plan.results.save(options.results)
    print()
    print(table.render(plan.results, runs.expected_delays()))
    if options.picture and plan.results.levels:
        figures.draw(plan.results, runs.expected_delays(), options.picture)
        print(f"\n{options.picture}: drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
