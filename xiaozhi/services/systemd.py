"""What a service manager hands us, and is told: sockets, readiness, a sign of life.

The protocols are systemd's (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)); each is an
environment variable or three, so whatever else speaks them will do. The sockets of a server that
begins anew in the same process come to it in the same way.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

FIRST: Final = 3
"""The descriptor of the first socket that is handed over."""


@attrs.frozen
class Handed:
    """A listening socket that was open before this program began."""

    name: str
    """What it is called: by systemd after its unit."""
    socket: socket.socket


def environment() -> Mapping[str, str]:
    """Give the environment this program began with.

    `os.environ` will not do: Twisted takes the variables of the sockets out of it on import.
    """
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return os.environ
    pairs = (os.fsdecode(entry).partition("=") for entry in entries)
    return {name: value for name, _, value in pairs}


def handed(environ: Mapping[str, str], pid: int) -> list[Handed]:
    """Take the sockets that were handed to the process `pid`; none, if they are another's."""
    count, owner, names = (environ.get(f"LISTEN_{name}", "") for name in ("FDS", "PID", "FDNAMES"))
    if owner != str(pid) or not count.isascii() or not count.isdigit():
        return []
    called = names.split(":")
    found = []
    for number in range(int(count)):
        given = socket.socket(fileno=FIRST + number)
        given.set_inheritable(False)
        found.append(Handed(called[number] if number < len(called) else "", given))
    return found


def hand_over(sockets: Sequence[Handed], environ: MutableMapping[str, str], pid: int) -> None:
    """Put the sockets where the next program of the process `pid` looks for them.

    What else has those descriptors is closed: nothing but `exec` can follow.
    """
    # First out of the way, as one may stand where another goes.
    high = [os.dup(given.socket.fileno()) for given in sockets]
    while high and min(high) < FIRST + len(sockets):
        high = [os.dup(descriptor) for descriptor in high]
    for number, descriptor in enumerate(high):
        os.dup2(descriptor, FIRST + number, inheritable=True)
    environ["LISTEN_FDS"] = str(len(sockets))
    environ["LISTEN_PID"] = str(pid)
    environ["LISTEN_FDNAMES"] = ":".join(given.name for given in sockets)


class Manager:
    """The service manager, if there is one: it is told, and never waited for."""

    log = Logger()

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        """Find it by NOTIFY_SOCKET, and how often it wants to hear from `pid`."""
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        wanted = environ.get("WATCHDOG_PID") or str(pid)
        limit = environ.get("WATCHDOG_USEC", "")
        self.patience = int(limit) / 1e6 if limit.isdigit() and wanted == str(pid) else 0.0
        """Seconds of silence after which it takes us for dead; 0: never."""
        self._status = ""
        self._complained = False

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    def tell(self, *lines: str) -> None:
        """Send `lines`, each "NAME=value"."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._complained:
                self._complained = True
                self.log.warn("The service manager cannot be told: {error}", error=error)

    def ready(self, status: str = "") -> None:
        """Say that we serve, after the start or, as before, after a reload."""
        self._status = status or self._status
        self.tell("READY=1", f"STATUS={self._status}")

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` ends that."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """Say that we are about to end."""
        self.tell("STOPPING=1", f"STATUS={status}")


class Watchdog(Service):
    """Gives the manager a sign of life, twice as often as it asks for: the reactor turns."""

    def __init__(self, manager: Manager, clock: Any) -> None:
        """Tell `manager`, by the `clock` that is the reactor."""
        self._manager = manager
        self._clock = clock
        self._next: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin, if it wants any."""
        super().startService()
        if self._manager.patience:
            self._tell()

    def stopService(self) -> None:
        """Give no more signs."""
        super().stopService()
        following, self._next = self._next, None
        if following is not None:
            following.cancel()

    def _tell(self) -> None:
        self._manager.tell("WATCHDOG=1")
        self._next = self._clock.callLater(self._manager.patience / 2, self._tell)
