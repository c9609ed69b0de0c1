"""Typed questions one after the other: with a tool and without, for the grammar, in a long talk.

Says `ready` and `done` as the load does, and then what it saw, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Final

import msgspec

from bench import websocket
from bench.devices import Device
from bench.doors import PATH
from bench.load import agree, run
from xiaozhi.device.mcp import Server, Tool, common_tools

CALLS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "local": ("calculate", {"expression": "6*7"}),
    "device": ("self_bench_echo", {}),
    "server": ("add", {"a": 2, "b": 40}),
}
"""What is called when somebody asks for "the local tool"."""
KINDS: Final = ("plain", *CALLS)
GRAMMAR: Final = ("What is 12 times 7?", "What time is it?", "Set the volume to 35.")
"""Questions that are settled before any model: a sum, the time, a tool of the device."""
TALK: Final = "What will the weather be like in the old town by the sea?"
_PATIENCE: Final = 20.0
_PAUSE: Final = 0.02
"""Seconds between two turns."""


class Job(msgspec.Struct, frozen=True):
    """What shall be measured: single turns, with their floors, or long talks."""

    port: int
    mind: int
    """The port of the model."""
    floor: int = 0
    count: int = 0
    """Turns of each kind, in turn."""
    talks: int = 0
    """Long talks at once..."""
    turns: int = 0
    """...and the turns of each."""


class Timing(msgspec.Struct, frozen=True):
    """Seconds from the question to `tts start`, and to the first frame."""

    started: float
    sounded: float


class Report(msgspec.Struct):
    """What was seen."""

    kinds: dict[str, list[Timing]] = {}
    """By the kind of tool; "plain" is without."""
    grammar: list[Timing] = []
    echo: list[Timing] = []
    """Of the floor: a message, a message and a frame back."""
    requests: list[float] = []
    """Seconds of a bare request to the model."""
    talks: list[list[Timing]] = []


def typing(text: str) -> bytes:
    """Build the message of a typed question."""
    message = {"type": "listen", "state": "detect", "text": text}
    return websocket.frame(websocket.TEXT, json.dumps(message).encode())


class Asker(Device):
    """Types, and tells when it was answered; its tools answer at once."""

    tools = Server([*common_tools(), Tool("self.bench.echo", "Answer at once.", lambda _: True)])

    def __init__(self, path: str = PATH, hello: bool = True) -> None:
        """Connect to the server, or (without `hello`) to the floor."""
        super().__init__(path, hello)
        self._floor = not hello
        self._asked = self._started = 0.0
        self._sounded: asyncio.Future[Timing] | None = None
        self._stopped: asyncio.Future[None] | None = None

    async def ask(self, text: str) -> Timing:
        """Type, and hear the answer out."""
        loop = asyncio.get_running_loop()
        self._sounded, self._stopped = loop.create_future(), loop.create_future()
        message = typing(text)
        self._asked = time.monotonic()
        self.transport.write(message)
        timing = await asyncio.wait_for(self._sounded, _PATIENCE)
        if not self._floor:
            await asyncio.wait_for(self._stopped, _PATIENCE)
        await asyncio.sleep(_PAUSE)
        return timing

    def on_speech(self, state: str, now: float) -> None:
        """Note that the answer begins, or is over."""
        if state == "start":
            self._started = now
        elif state == "stop" and self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    def on_sound(self, now: float) -> None:
        """Note the first frame."""
        if self._sounded is not None and not self._sounded.done():
            self._sounded.set_result(Timing(self._started - self._asked, now - self._asked))


async def connect(port: int) -> Asker:
    """Connect a device, and wait until its tools are known."""
    _, device = await asyncio.get_running_loop().create_connection(Asker, "127.0.0.1", port)
    await device.ready
    await device.listed
    return device


async def requests(port: int, count: int) -> list[float]:
    """Ask the model itself, over one connection; tell how long each answer took to its end."""
    asked = {
        "model": "bench",
        "stream": True,
        "messages": [{"role": "system", "content": "x" * 8000}, {"role": "user", "content": TALK}],
    }
    body = json.dumps(asked).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for _ in range(count):
        began = time.monotonic()
        writer.write(head.encode() + body)
        await reader.readuntil(b"data: [DONE]\n\n")
        found.append(time.monotonic() - began)
        await asyncio.sleep(_PAUSE)
    writer.close()
    return found


async def singly(job: Job) -> Report:
    """Ask with each kind of tool in turn, and whatever the grammar knows; then the floors."""
    device = await connect(job.port)
    loop = asyncio.get_running_loop()
    _, echo = await loop.create_connection(lambda: Asker("/", False), "127.0.0.1", job.floor)
    await echo.ready
    report = Report({kind: [] for kind in KINDS})
    for kind in KINDS:  # so that all is warm
        await device.ask(f"Please use the {kind} tool.")
    await agree()
    for number in range(job.count):
        for kind in KINDS:
            report.kinds[kind].append(await device.ask(f"Please use the {kind} tool."))
        report.grammar.append(await device.ask(GRAMMAR[number % len(GRAMMAR)]))
        report.echo.append(await echo.ask(TALK))
    report.requests = await requests(job.mind, job.count)
    for each in (device, echo):
        each.transport.abort()
    return report


async def at_length(job: Job) -> Report:
    """Have long talks."""
    devices = [await connect(job.port) for _ in range(job.talks)]
    await agree()

    async def talk(number: int, device: Asker) -> list[Timing]:
        await asyncio.sleep(number * 0.1)  # not all at the same moment
        return [await device.ask(TALK) for _ in range(job.turns)]

    talks = await asyncio.gather(*(talk(*each) for each in enumerate(devices)))
    for device in devices:
        device.transport.abort()
    return Report(talks=list(talks))


def main() -> None:
    """Do the job given as JSON."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    report = run(at_length(job) if job.talks else singly(job))
    print("done", flush=True)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main()
