"""How a model comes into memory, and what is said while it is not there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services import loader as module
from xiaozhi.services.engine import Workshop
from xiaozhi.services.loader import AGAIN, Loader
from xiaozhi.services.pool import Workers
from xiaozhi.services.weights import Model, Stopped, WeightsError

MODEL = Model("toy", "owner/toy", ())


class HandClock(Clock):
    """A clock moved by hand, on which threads reach the real reactor."""

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        real: Any = reactor
        real.callFromThread(call, *args)


class FakeFetch:
    """A fetch whose thread does what the test says next."""

    def __init__(self, *args: Any) -> None:
        self.stopped = threading.Event()
        self.advanced: Callable[[int, int], None] = args[3]
        self.begun: Deferred[FakeFetch] = Deferred()
        self.go = threading.Event()
        self.outcome: Path | Exception = Path("there")

    def run(self) -> Path:
        """Say that 42 % are there, then wait for `go`."""
        self.advanced(42, 100)
        HandClock().callFromThread(self.begun.callback, self)
        self.go.wait(5)
        if self.stopped.is_set():
            raise Stopped
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class LoaderTests(TestCase):
    """A loader with a fetch in the test's hands."""

    timeout = 10

    def setUp(self) -> None:
        self.clock = HandClock()
        self.pool = Workers(reactor, "asr")
        self.pool.startService()
        self.addCleanup(self.pool.stopService)
        self.fetches: list[FakeFetch] = []
        self.patch(module, "Fetch", self.fetch)
        self.loaded: Deferred[str] = Deferred()

    def fetch(self, *args: Any) -> FakeFetch:
        self.fetches.append(FakeFetch(*args))
        return self.fetches[-1]

    def loader(self, source: Path | Model = MODEL, language: str = "en") -> Loader[str]:
        workshop = Workshop(self.clock, self.pool, Path("state"), language)
        loader = Loader(workshop, "asr", "toy", source, self.load, loaded=self.loaded.callback)
        loader.startService()
        self.addCleanup(lambda: loader.stopService() if loader.running else None)
        return loader

    def load(self, path: Path) -> str:
        if path == Path("broken"):
            raise WeightsError("it is broken", "坏了")
        return f"model from {path}"

    def excuse(self, loader: Loader[str]) -> str:
        return str(self.assertRaises(ServiceError, loader.get).why)

    async def failure(self, loader: Loader[str]) -> list[str]:
        """Wait until the loader has failed; return the lines it logged."""
        with capturedLogs() as events:
            await loader.settled()
        return [formatEvent(e) for e in events if e["log_level"] is LogLevel.warn]

    async def test_a_path(self) -> None:
        """A model on this machine is loaded without asking anybody."""
        loader = self.loader(Path("here"))
        self.assertEqual(self.excuse(loader), "toy is loading")
        self.assertEqual(await self.loaded, "model from here")
        self.assertEqual(loader.get(), "model from here")
        self.assertEqual(self.fetches, [])

    async def test_a_name(self) -> None:
        """A model by name says how far it is, and is there when it has been fetched."""
        loader = self.loader()
        fetch = await self.fetches[0].begun
        self.assertEqual(self.excuse(loader), "toy is being fetched, 42 %")
        fetch.go.set()
        self.assertEqual(await self.loaded, "model from there")

    async def test_again(self) -> None:
        """What cannot be had is tried again after an hour."""
        loader = self.loader()
        fetch = await self.fetches[0].begun
        fetch.outcome = WeightsError("no hub", "没有模型站")
        fetch.go.set()
        await self.failure(loader)
        self.assertEqual(self.excuse(loader), "toy cannot be used: no hub")
        self.clock.advance(AGAIN)
        (await self.fetches[1].begun).go.set()
        self.assertEqual(await self.loaded, "model from there")

    async def test_says_what_to_do(self) -> None:
        """A model that cannot be had is one line in the log, in the server's language."""
        for language, words in {"en": "HF_ENDPOINT to a mirror", "zh": "坏了。请在配置里"}.items():
            lines = await self.failure(self.loader(Path("broken"), language))
            self.assertEqual(len(lines), 1)
            self.assertIn(words, lines[0])

    async def test_refused(self) -> None:
        """A pool that takes no more work is tried again as well."""
        await self.pool.stopService()
        loader = self.loader(Path("here"))
        self.assertIn("the server is stopping", self.excuse(loader))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    async def test_stopped(self) -> None:
        """Stopping ends the fetch and forgets the model, and nothing is tried again."""
        loader = self.loader()
        fetch = await self.fetches[0].begun
        loader.stopService()
        self.assertTrue(fetch.stopped.is_set())
        fetch.go.set()
        self.assertEqual(self.excuse(loader), "toy is stopped")
        self.assertEqual(self.clock.getDelayedCalls(), [])
