"""`python -m tests.fuzz`: a million inputs, and what came of them."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.fuzz.driver import PARTS, run, trouble

_STEPS = 10
"""So often it is told how far a part is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the inputs that are wanted, part by part; the answer is 1 if there are defects."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description="Look for defects.")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for all parts together")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--seconds", type=float, default=600.0, help="for each part, at most")
    parser.add_argument("--only", choices=PARTS, help="one part, with all the inputs")
    parser.add_argument("--input", type=bytes.fromhex, metavar="HEX", help="try this one again")
    options = parser.parse_args(arguments)
    if options.input is not None:
        why = trouble(PARTS[options.only or "decoding"].one, options.input)
        print(why or "nothing comes of it")
        return bool(why)
    total, found = 0, []
    for name, part in PARTS.items():
        if options.only in (None, name):
            count = options.inputs if options.only else round(options.inputs * part.share)
            tried, troubles = _part(name, count, options.seed, options.seconds)
            total += tried
            found += troubles
    print(f"{total} inputs, {len(found)} defects (SEED={options.seed})")
    return bool(found)


def _part(name: str, count: int, seed: int, seconds: float) -> tuple[int, list[str]]:
    """Try a part step by step, each with a seed of its own, and tell how it goes."""
    began, total, found = time.monotonic(), 0, list[str]()
    for step in range(_STEPS):
        wanted = count * (step + 1) // _STEPS - total
        left = began + seconds - time.monotonic()
        if wanted <= 0 or left <= 0:
            continue
        tried, troubles = run(name, wanted, seed * _STEPS + step, left)
        total += tried
        found += map(str, troubles)
        rate = total / (time.monotonic() - began)
        print(f"{name}: {total} of {count}, {rate:.0f} a second", flush=True)
        print("".join(f"\n{each}\n" for each in troubles), end="", flush=True)
    return total, found


if __name__ == "__main__":
    sys.exit(main())
