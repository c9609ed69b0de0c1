"""Devices that only come and go, or come and stay: connections a second, and what one costs."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

import msgspec

from bench.devices import GOODBYE, Device
from bench.load import agree, run

PATH = "/xiaozhi/v1/"


class Job(msgspec.Struct, frozen=True):
    """What shall be done: knock for some `seconds`, or else come and stay."""

    port: int
    devices: int
    """How many at once."""
    seconds: float = 0.0
    tokens: dict[str, str] = {}
    """Of devices that are known: they knock one after the other, each with its token."""


class Report(msgspec.Struct, frozen=True):
    """What was done."""

    connections: int
    """Connections that were made, welcomed and closed."""
    seconds: float


async def knock(job: Job) -> Report:
    """Connect, say hello and goodbye, again and again."""
    await agree()
    began = time.monotonic()
    until = began + job.seconds
    known = itertools.cycle(job.tokens.items() or [("", "")])

    async def caller() -> int:
        count = 0
        while time.monotonic() < until:
            device = await _connect(job.port, *next(known))
            device.transport.write(GOODBYE)
            await device.gone
            count += 1
        return count

    counts = await asyncio.gather(*(caller() for _ in range(job.devices)))
    return Report(sum(counts), time.monotonic() - began)


async def stay(job: Job) -> Report:
    """Connect, say hello, and be quiet until told to go."""
    began = time.monotonic()
    devices: list[Device] = []
    while len(devices) < job.devices:
        # A few at a time: the queue of the listening socket is not what is measured.
        some = min(20, job.devices - len(devices))
        devices += await asyncio.gather(*(_connect(job.port) for _ in range(some)))
    await asyncio.gather(*(device.listed for device in devices))
    seconds = time.monotonic() - began
    await agree()
    for device in devices:
        device.transport.abort()
    return Report(len(devices), seconds)


async def _connect(port: int, name: str = "", token: str = "") -> Device:
    _, device = await asyncio.get_running_loop().create_connection(
        lambda: Device(PATH, name=name, token=token), "127.0.0.1", port
    )
    await device.ready
    return device


def main() -> None:
    """Do the job given as JSON."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    report = run(knock(job) if job.seconds else stay(job))
    print("done", flush=True)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main()
