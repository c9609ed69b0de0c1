"""What a service manager is told, on a real socket; and its sign of life."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.systemd import Manager, Watchdog, handed


class Told(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.setblocking(False)

    def messages(self) -> list[str]:
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return found

    def test_states(self) -> None:
        """The states of a server, each in a message."""
        self.socket.bind(self.path)
        manager = Manager({"NOTIFY_SOCKET": self.path}, 7)
        manager.ready("listening on port 1")
        manager.reloading()
        manager.ready()
        manager.stopping("goodbye")
        first, second, *rest = self.messages()
        self.assertEqual(first, "READY=1\nSTATUS=listening on port 1")
        self.assertRegex(second, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual(rest, [first, "STOPPING=1\nSTATUS=goodbye"])

    def test_abstract(self) -> None:
        """A socket may be in the abstract namespace."""
        name = f"xiaozhi-test-{os.getpid()}"
        self.socket.bind(f"\0{name}")
        Manager({"NOTIFY_SOCKET": f"@{name}"}, 7).tell("X=1")
        self.assertEqual(self.messages(), ["X=1"])

    def test_nobody(self) -> None:
        """Without a manager nothing is said; one that is gone is no harm, and named once."""
        self.assertFalse(Manager({}, 7).there)
        Manager({}, 7).tell("X=1")
        gone = Manager({"NOTIFY_SOCKET": self.path}, 7)
        with capturedLogs() as events:
            gone.tell("X=1")
            gone.tell("X=1")
        self.assertEqual(len(events), 1)

    def test_watchdog(self) -> None:
        """A sign of life comes twice in the time it asks for, while the reactor turns."""
        self.socket.bind(self.path)
        clock = Clock()
        environ = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "7"}
        watchdog = Watchdog(Manager(environ, 7), clock)
        watchdog.startService()
        clock.pump([1.0] * 20)
        self.assertEqual(self.messages(), ["WATCHDOG=1"] * 5)
        watchdog.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])
        for other in ({**environ, "WATCHDOG_PID": "8"}, {**environ, "WATCHDOG_USEC": "x"}):
            Watchdog(Manager(other, 7), clock).startService()
        self.assertEqual((self.messages(), clock.getDelayedCalls()), ([], []))


class Handing(SynchronousTestCase):
    def test_not_ours(self) -> None:
        """Sockets for another process, or variables that make no sense, are left alone."""
        for environ in (
            {},
            {"LISTEN_FDS": "1", "LISTEN_PID": "8"},
            {"LISTEN_FDS": "many", "LISTEN_PID": "7"},
            {"LISTEN_FDS": "-1", "LISTEN_PID": "7"},
        ):
            self.assertEqual(handed(environ, 7), [])
