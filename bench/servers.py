"""The servers of a bench, each a process of its own: started, looked at, ended."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import attrs
import psutil

from bench.sounds import FOLDER

ROOT: Final = Path(__file__).parent.parent
_PATIENCE: Final = 30.0

BASE: Final = """
server: {{ip: 127.0.0.1, port: {port}, language: en, max_connections: 20000, max_devices: 1000000}}
"""
INSTANT: Final = """
asr: {use: instant}
llm: {use: instant}
tts: {use: instant}
"""
REMOTE: Final = """
asr: {{use: openai, base_url: "http://127.0.0.1:{engines}/v1"}}
llm: {{use: openai, base_url: "http://127.0.0.1:{engines}/v1"}}
tts: {{use: openai, base_url: "http://127.0.0.1:{engines}/v1"}}
"""
TOOLS: Final = """
asr: {{use: instant}}
llm: {{use: openai, base_url: "http://127.0.0.1:{mind}/v1", api_key: none, model: bench}}
tts: {{use: instant, seconds: 0.06}}
assistant: {{history_turns: {history}}}
mcp: {{servers: {{abacus: {{command: "{python}", args: ["-m", "bench.abacus"]}}}}}}
"""
GUARDED: Final = """
auth: {{mode: token, key: "{key}"}}
"""
WATCHED: Final = """
asr: {{use: {asr}}}
llm: {{use: instant, gaps: "{gaps}"}}
tts: {{use: {tts}}}
"""
DEFAULT: Final = """
server: {{ip: 127.0.0.1, port: {port}}}
"""


class Usage(NamedTuple):
    """What a process has used, or uses, with its children."""

    cpu: float
    """Seconds of processor time."""
    rss: int
    """Bytes of memory."""
    threads: int


class Machine(NamedTuple):
    """Seconds of processor time, on all processors, since the machine started."""

    ours: float
    """What the bench and its children used."""
    busy: float
    """What all processes used."""
    stolen: float
    """What a hypervisor gave to others."""

    @classmethod
    def now(cls) -> Machine:
        """Look at the clock."""
        own = psutil.Process()
        times = [each.cpu_times() for each in (own, *own.children(recursive=True))]
        total = psutil.cpu_times()
        return cls(
            sum(each.user + each.system for each in times),
            total.user + total.nice + total.system + total.softirq,
            total.steal,
        )

    def others(self, later: Machine, seconds: float) -> float:
        """Tell which share of a processor others had in the `seconds` until `later`.

        A bench is worth what this is small: a few percent.
        """
        foreign = (later.busy - self.busy) - (later.ours - self.ours)
        return max(0.0, foreign + later.stolen - self.stolen) / seconds


@attrs.frozen
class Served:
    """A server that answers at `port`."""

    port: int
    seconds: float
    """How long it took from its start to its first answer."""
    process: psutil.Process

    def usage(self) -> Usage:
        """Look at it."""
        family = [self.process, *self.process.children(recursive=True)]
        times = [each.cpu_times() for each in family]
        return Usage(
            sum(each.user + each.system for each in times),
            sum(each.memory_info().rss for each in family),
            sum(each.num_threads() for each in family),
        )

    def settle(self) -> None:
        """Wait until it has nothing to do: engines that load in the background are loaded."""
        before, quiet, deadline = self.usage().cpu, 0, time.monotonic() + 60
        while quiet < 2 and time.monotonic() < deadline:
            time.sleep(0.25)
            now = self.usage().cpu
            quiet = quiet + 1 if now - before < 0.02 else 0
            before = now


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """Make the environment of a process of this checkout, with the bench's engines in it."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "HOME": str(FOLDER),
        "STATE_DIRECTORY": str(FOLDER),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "bench" / "plugins"))),
        "HF_ENDPOINT": "http://127.0.0.1:9",  # what is not installed is not looked for elsewhere
        **more,
    }


@contextlib.contextmanager
def running(command: Sequence[str], port: int, name: str) -> Iterator[Served]:
    """Run a server that will listen on `port`, until the block ends; `name` is that of its log."""
    FOLDER.mkdir(exist_ok=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    path = FOLDER / f"{name}.log"
    with path.open("wb") as log:
        began = time.monotonic()
        child = subprocess.Popen(
            command, env=environment(), cwd=FOLDER, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            answered = _answered(port, child, path)
            yield Served(port, answered - began, psutil.Process(child.pid))
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def xiaozhi(
    configuration: str, name: str = "server", furnish: Callable[[Path], None] = lambda store: None
) -> contextlib.AbstractContextManager[Served]:
    """Run the server as its operator would; `configuration` comes after the bench's own part.

    It meets all devices for the first time, but those that `furnish` puts into its store before.
    """
    store = FOLDER / "xiaozhi.db"
    for file in FOLDER.glob(f"{store.name}*"):
        file.unlink()
    furnish(store)
    return _twistd(BASE, configuration, name)


def usual() -> contextlib.AbstractContextManager[Served]:
    """Run the server with everything at its default, but its port."""
    return _twistd(DEFAULT, "", "usual")


def module(name: str) -> contextlib.AbstractContextManager[Served]:
    """Run one of the bench's own servers."""
    port = free_port()
    return running([sys.executable, "-m", name, "--port", str(port)], port, name)


def _twistd(base: str, configuration: str, name: str) -> contextlib.AbstractContextManager[Served]:
    port = free_port()
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.yaml"
    path.write_text(base.format(port=port) + configuration, encoding="utf-8")
    twistd = str(Path(sys.executable).with_name("twistd"))
    command = [sys.executable, twistd, "-n", "--pidfile=", "xiaozhi", "--config", str(path)]
    return running(command, port, name)


def _answered(port: int, child: subprocess.Popen[bytes], log: Path) -> float:
    """Wait until the server answers a request; tell when that was."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"it did not start:\n{log.read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(ConnectionError), socket.socket() as probe:
            probe.settimeout(_PATIENCE)
            probe.connect(("127.0.0.1", port))
            probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if probe.recv(16).startswith(b"HTTP/"):
                return time.monotonic()
        time.sleep(0.005)
    raise RuntimeError(f"nothing answers on port {port}")
