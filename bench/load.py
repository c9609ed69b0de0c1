"""The load: many devices in one process, cheap enough to share two cores with the server.

Says `ready` when all are connected, begins when it reads a line, says `done` at the end, and
then what it saw, as JSON. So that who started it can look at the server at the right moments.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Coroutine
from typing import Any

import msgspec

from bench import websocket
from bench.devices import ABORT, GOODBYE, TYPE, Device, Kind, Speech, Talker, Turn
from bench.uplink import Listener, ends, packets

CYCLE = {"spoken": 11.0, "button": 10.2, "typed": 6.9}
"""Seconds a turn of each kind takes, about."""


class Job(msgspec.Struct, frozen=True):
    """What the devices shall do."""

    port: int
    devices: int
    kinds: list[Kind]
    """The turns of each device."""
    path: str = "/xiaozhi/v1/"
    floor: bool = False
    """Whether the server is the floor, which sends sound and nothing else."""
    patience: float = 1.5
    """So many times the time it should take, and what is not done then is lost."""

    @property
    def stagger(self) -> float:
        """Seconds within which the devices begin, evenly."""
        return CYCLE[self.kinds[0]]

    @property
    def seconds(self) -> float:
        """How long it should take."""
        return self.stagger + sum(CYCLE[kind] for kind in self.kinds)


class Report(msgspec.Struct):
    """What the devices saw."""

    turns: list[Turn]
    late: list[float]
    """How late the devices' packets went out, in seconds: p50, p99 and the worst."""
    cpu: float
    """CPU seconds of the load itself."""
    until_asked: float = 0.0
    """Seconds from the end of the question to the packet that completes the silence window."""


class _Impatient(Device):
    """Types a question, and breaks the answer off at the first sound: all is warm after that."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_sound(self, now: float) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


async def warm_up(job: Job) -> None:
    """Have the server do everything once."""
    loop = asyncio.get_running_loop()
    for _ in range(2):
        _, device = await loop.create_connection(
            lambda: _Impatient(job.path), "127.0.0.1", job.port
        )
        await device.ready
        device.transport.write(TYPE)
        await asyncio.wait_for(device.answered, 20)
        device.transport.write(ABORT + GOODBYE)
        await device.gone


async def talk(job: Job) -> Report:
    """Let the devices talk."""
    loop = asyncio.get_running_loop()
    sent, spoken = packets()
    late: list[float] = []
    if job.floor:
        from bench.floor import Hearing

        found = ends(sent, len(job.kinds), Hearing().feed)
    else:
        await warm_up(job)
        found = ends(sent, len(job.kinds), Listener().feed)
    speech = Speech(
        [websocket.frame(websocket.BINARY, packet) for packet in sent],
        spoken,
        [end.packet for end in found],
    )
    talkers = []
    for _ in range(job.devices):
        _, talker = await loop.create_connection(
            lambda: Talker(job.path, speech, job.kinds, job.floor, late), "127.0.0.1", job.port
        )
        await talker.ready
        talkers.append(talker)
    await agree()
    before = _cpu()
    for number, talker in enumerate(talkers):
        loop.call_later(job.stagger * number / job.devices, talker.begin)
    await asyncio.wait(
        [asyncio.ensure_future(_first(talker)) for talker in talkers],
        timeout=job.seconds * job.patience,
    )
    print("done", flush=True)
    used = _cpu() - before
    for talker in talkers:
        talker.transport.abort()
    late.sort()
    return Report(
        [turn for talker in talkers for turn in talker.turns],
        [late[int(len(late) * share)] for share in (0.5, 0.99)] + late[-1:] if late else [],
        used,
        (found[0].packet - spoken + 1) * 0.06,
    )


async def _first(talker: Talker) -> None:
    """Wait until a talker is through, or cut off."""
    await asyncio.wait([talker.over, talker.gone], return_when=asyncio.FIRST_COMPLETED)


async def agree() -> None:
    """Say that all is ready, and wait until that was heard."""
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run asyncio, on uvloop if it is there."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def main() -> None:
    """Do the job given as JSON."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    report = run(talk(job))
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main()
