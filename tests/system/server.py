"""A real server in a process of its own, for tests that talk to it over loopback."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from xiaozhi.device.client import Device
from xiaozhi.device.ota import Profile

reactor: Any = the_reactor
ROOT = Path(__file__).parent.parent.parent
STATE = Path(tempfile.gettempdir()) / f"xiaozhi-tests-{os.getuid()}"
"""Weights are put together here once, and phrases spoken, for all tests and all runs."""

BASE = """
server: {ip: [127.0.0.1, "::1"], port: 0, language: en}
"""


class Process(ProcessProtocol):
    """A child process whose lines can be waited for."""

    def __init__(self) -> None:
        self.text = ""
        self.ended: Deferred[int] = Deferred()
        self.handle: Any = None
        self._awaited: list[tuple[re.Pattern[str], Deferred[re.Match[str]]]] = []

    def outReceived(self, data: bytes) -> None:
        self.text += data.decode()
        self._look()

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        error = reason.check(ProcessDone, ProcessTerminated)
        assert error is not None
        self._look()
        for pattern, waiter in self._awaited:
            waiter.errback(AssertionError(f"{pattern.pattern!r} never came:\n{self.text}"))
        value: Any = reason.value
        self.ended.callback(value.exitCode or 0)

    def says(self, pattern: str, seconds: float = 60.0) -> Deferred[re.Match[str]]:
        """Wait until `pattern` is found in what was said so far."""
        waiter: Deferred[re.Match[str]] = Deferred()
        waiter.addTimeout(seconds, reactor)
        self._awaited.append((re.compile(pattern), waiter))
        self._look()
        return waiter

    def _look(self) -> None:
        for entry in list(self._awaited):
            pattern, waiter = entry
            if waiter.called:
                self._awaited.remove(entry)
            elif match := pattern.search(self.text):
                self._awaited.remove(entry)
                waiter.callback(match)


class ServerCase(TestCase):
    """A test with servers and devices, all of which are gone when it ends."""

    timeout = 170

    def command(self, *arguments: str, **environ: str) -> Process:
        """Run a Python command of this checkout; it is ended after the test."""
        return self.program(sys.executable, *arguments, **environ)

    @cached_property
    def own_state(self) -> Path:
        """A state folder of this test's own, but for what takes long to make."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ("models", "prompts"):
            (STATE / name).mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(STATE / name)
        return folder

    def program(self, *command: str, **environ: str) -> Process:
        """Run a program, of which the path is given; it is ended after the test."""
        return self.spawn(command, environ, {})

    def spawn(
        self, command: Sequence[str], environ: Mapping[str, str], fds: Mapping[int, int]
    ) -> Process:
        """Do the same, with descriptors beside the usual three, by their numbers there."""
        process = Process()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(STATE),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "error",
            "STATE_DIRECTORY": str(self.own_state),
            # What is not in the packages must not be looked for on the internet by a test.
            "HF_ENDPOINT": "http://127.0.0.1:9",
            **environ,
        }
        process.handle = reactor.spawnProcess(
            process, command[0], command, environment, str(ROOT),
            childFDs={0: "w", 1: "r", 2: "r", **fds},
        )  # fmt: skip

        async def end() -> None:
            if not process.ended.called:
                process.handle.signalProcess(signal.SIGTERM)
                await process.ended

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return process

    async def eventually(
        self, condition: Callable[[], bool], why: Callable[[], str] = str, seconds: float = 20.0
    ) -> None:
        """Wait until `condition()` holds; if it never does, say `why()`."""
        deadline = reactor.seconds() + seconds
        while not condition():
            self.assertLess(reactor.seconds(), deadline, why())
            await deferLater(reactor, 0.02)

    def configuration(self, text: str) -> str:
        """Write a configuration file; give its name."""
        path = Path(self.mktemp() + ".yaml").absolute()
        path.write_text(BASE + text, encoding="utf-8")
        return str(path)

    async def server(self, configuration: str, *ready: str, **environ: str) -> int:
        """Start a server and wait until it listens and has said all of `ready`; give its port."""
        self.process = self.command(
            "-m", "xiaozhi.cli", "run", "--config", self.configuration(configuration), **environ
        )
        port = int((await self.process.says(r"is listening on port (\d+)"))[1])
        for pattern in ready:
            await self.process.says(pattern)
        return port

    def device(self, port: int, **profile: Any) -> Device:
        """Make a simulated device for the server at `port`."""
        address = f"http://127.0.0.1:{port}/xiaozhi/ota/"
        device = Device(reactor, Profile(**({"ota_url": address} | profile)))
        self.addCleanup(device.close)
        return device
