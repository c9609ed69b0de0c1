"""Seeded random inputs for the targets: the same seed makes the same ones."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final

import attrs

from tests.fuzz import calling, decoding, pages, talks

Target = Callable[[bytes], None]


@attrs.frozen
class Part:
    """A target, and how it is shared in."""

    one: Target
    share: float
    """Of all inputs: the slower it is, the smaller."""
    longest: int
    """Bytes of an input."""


PARTS: Final = {
    "decoding": Part(decoding.one, 0.75, 80),
    "calling": Part(calling.one, 0.10, 40),
    "pages": Part(pages.one, 0.13, 60),
    "talks": Part(talks.one, 0.02, 120),
}


@attrs.frozen
class Found:
    """An input that shows a defect, as short as it could be made, and what comes of it."""

    part: str
    data: bytes
    trouble: str

    def __str__(self) -> str:
        """Tell it with the command that shows it again."""
        again = f"python -m tests.fuzz --only {self.part} --input {self.data.hex() or '00'}"
        return f"{self.trouble}\n{again}"


def inputs(seed: int, longest: int) -> Iterator[bytes]:
    """Give inputs without end."""
    chance = random.Random(seed)
    while True:
        yield chance.randbytes(chance.randrange(longest + 1))


def trouble(one: Target, data: bytes) -> str:
    """Try an input; tell what comes of it, "" if nothing does.

    A target may raise anything: that is what it is for.
    """
    try:
        one(data)
    except Exception:
        return traceback.format_exc()
    return ""


def run(
    name: str, count: int, seed: int, seconds: float = float("inf"), most: int = 5
) -> tuple[int, list[Found]]:
    """Try `count` inputs, for so many `seconds`; tell how many it were, and `most` of the defects.

    Of those that end alike only one is told.
    """
    part, found, tried = PARTS[name], dict[str, Found](), 0
    until = time.monotonic() + seconds
    for tried, data in enumerate(inputs(seed, part.longest), 1):
        if why := trouble(part.one, data):
            kind = why.strip().splitlines()[-1]
            if kind not in found:
                data = shortened(part.one, data, kind)
                found[kind] = Found(name, data, why)
        if tried == count or len(found) == most or time.monotonic() > until:
            break
    return tried, list(found.values())


def shortened(one: Target, data: bytes, kind: str) -> bytes:
    """Cut out of an input what the trouble does not need, larger pieces first."""
    size = len(data) // 2
    while size:
        for start in range(len(data) - size, -1, -size):
            shorter = data[:start] + data[start + size :]
            if trouble(one, shorter).strip().endswith(kind):
                data = shorter
        size //= 2
    return data
