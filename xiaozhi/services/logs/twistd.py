"""Twistd's log is ours: the same lines in the foreground, as a daemon, and with `--logfile`.

Twistd takes its observer from the application, if that has one. A `--syslog` or `--logger` that
was asked for is left as it is.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TextIO

from twisted.application.service import IServiceCollection, MultiService
from twisted.logger import ILogObserver
from twisted.python.components import Componentized

from xiaozhi.services.logs import Log
from xiaozhi.services.logs.files import File, Terminal
from xiaozhi.services.logs.lines import Lines
from xiaozhi.services.logs.masking import Masking
from xiaozhi.upkeep import Log as Settings

MEGABYTE = 1_000_000


def make_log(
    settings: Settings, secrets: Collection[str], options: Mapping[str, Any], stdout: TextIO
) -> Log | None:
    """Make the log for a server started with twistd's `options`; None if they ask for another.

    Raises OSError if its file cannot be written.
    """
    if options.get("syslog") or options.get("logger"):
        return None
    name = settings.file or options.get("logfile") or ("-" if options.get("nodaemon") else "")
    masking = Masking(secrets)
    if name == "-":
        return Log(Lines(settings, masking, terse=True), Terminal(stdout))
    path = Path(name or "twistd.log").absolute()
    try:
        file = File(path, settings.max_size * MEGABYTE, settings.keep_days, _owner(options))
    except OSError as error:
        raise OSError(f"cannot write the log {path}: {error.strerror} (log.file)") from error
    return Log(Lines(settings, masking), file)


def _owner(options: Mapping[str, Any]) -> tuple[int, int]:
    """Tell the user and the group the server will run as; -1 for who runs this."""
    user, group = (options.get(key) for key in ("uid", "gid"))
    return -1 if user is None else user, -1 if group is None else group


class Logged(MultiService):
    """The server, which writes `log`; SIGUSR1 begins its file anew, as twistd's own does."""

    def __init__(self, log: Log | None, reactor: Any) -> None:
        """Have twistd write `log`; None leaves twistd its own."""
        super().__init__()
        self._log = log
        self._reactor = reactor

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join the application, and give it the log."""
        if self._log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Start, and listen to the signal."""
        super().startService()
        sink = None if self._log is None else self._log.sink
        if isinstance(sink, File):
            signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(sink.rotate))
        elif sink is not None:
            # Standard output has no file to begin anew; nobody who rotates logs wants us to die.
            signal.signal(signal.SIGUSR1, lambda *_: None)
