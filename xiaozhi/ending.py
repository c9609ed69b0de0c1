"""How the process ends: in time, whatever still runs in it; and whether it then begins anew.

A thread cannot be ended from outside, and Python waits for some when it exits: those of asyncio's
executor, of the reactor's own pool, of C libraries. So nothing here relies on an orderly exit. A
thread of our own sleeps for as long as the stop may take, and then ends the process, or
replaces it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import attrs
from twisted.logger import Logger

from xiaozhi.services.systemd import Handed, hand_over

AGAIN: Final = 75
"""The exit code that asks a service manager to start us again: RestartForceExitStatus."""
AGAIN_IN: Final = "XIAOZHI_AGAIN_IN"
"""The variable that tells a program that it is the same server anew: has the process's id."""
STOPPED: Final = 128 + signal.SIGTERM


@attrs.frozen
class Command:
    """The command this process was started with, so that it can be given again."""

    words: tuple[str, ...]
    folder: str
    """Where it was given: names in it may be relative to that."""

    @classmethod
    def own(cls) -> Command:
        """Take that of this process. Python's own options are part of it."""
        return cls((sys.executable, *sys.orig_argv[1:]), os.getcwd())


def begun_anew(environ: MutableMapping[str, str], pid: int) -> bool:
    """Say whether this program is in the place of another run of the same server."""
    return environ.pop(AGAIN_IN, "") == str(pid)


class Ending:
    """The end of the process, which comes only once."""

    log = Logger()

    def __init__(self, command: Command | None, pidfile: str = "", keeps: bool = False) -> None:
        """Give `command` again if asked to, if it can be; else see that the `pidfile` goes.

        If this process `keeps` that from an earlier run, nobody else takes it away.
        """
        self.command = command
        self._pidfile = pidfile
        self._keeps = keeps
        self._then: Callable[[], NoReturn] = self._leave
        self._sockets: Callable[[], Sequence[Handed]] = list
        self._lock = threading.RLock()  # a signal may come while it is held
        self.anew = False
        """Whether the server is to begin again."""

    def begin_anew(self, supervised: bool, sockets: Callable[[], Sequence[Handed]]) -> None:
        """Let the server begin again after its stop.

        Its manager starts it if it is `supervised`; else the same process runs the same
        command, and finds its `sockets` open.
        """
        self.anew = True
        self._sockets = sockets
        self._then = self._ask if supervised else self._repeat

    def within(self, seconds: float) -> None:
        """End the process after `seconds` at the latest, or when the next signal asks for it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._insist)
        guard = threading.Timer(seconds, self._overdue)
        guard.daemon = True
        guard.name = "xiaozhi-ending"
        guard.start()

    def now(self) -> None:
        """All is stopped: begin anew, if that is to be. Else the process ends as it would."""
        if self.anew:
            self._end()
        elif self._keeps:
            self._take_pidfile()

    def _insist(self, number: int, frame: object) -> None:
        self._then = self._leave
        self._end()

    def _overdue(self) -> None:
        self.log.warn("The server has not stopped in time: what still runs is cut off")
        self._end()

    def _end(self) -> None:
        with self._lock:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()
            self._then()

    def _leave(self) -> NoReturn:
        self._take_pidfile()
        os._exit(STOPPED)

    def _ask(self) -> NoReturn:
        self._take_pidfile()
        os._exit(AGAIN)

    def _repeat(self) -> NoReturn:
        assert self.command is not None, "who asks has looked"
        pid = os.getpid()
        try:
            # A terminal that goes meanwhile must not end what has no handler yet.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.chdir(self.command.folder)
            hand_over(self._sockets(), os.environ, pid)
            os.environ[AGAIN_IN] = str(pid)
            # Our own command, without a shell by intent.
            os.execv(self.command.words[0], self.command.words)  # noqa: S606
        except OSError as error:
            os.write(2, f"xiaozhi: cannot begin anew: {error}\n".encode())
        self._ask()

    def _take_pidfile(self) -> None:
        path = Path(self._pidfile)
        try:
            if self._pidfile and path.read_text() == str(os.getpid()):
                path.unlink()
        except OSError:
            pass  # there is nobody left to be told
