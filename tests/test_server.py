"""The whole server stops in order, and in time."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.server import Parts, Server
from xiaozhi.services.systemd import Manager


class Core(Clock):
    """A clock with the events of a reactor."""

    def addSystemEventTrigger(self, phase: str, event: str, call: Any) -> None:
        self.trigger = (phase, event, call)


class FakeEnding:
    """Notes how long the process has."""

    def __init__(self) -> None:
        self.anew = False
        self.limit = 0.0

    def within(self, seconds: float) -> None:
        self.limit = seconds

    def now(self) -> None:
        pass


class Stopping(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Core()
        self.told: list[str] = []
        self.ending = FakeEnding()
        manager = Manager({"NOTIFY_SOCKET": "x"}, 1)
        self.patch(manager, "tell", lambda *lines: self.told.append(lines[0]))
        ending: Any = self.ending
        self.drained: Deferred[None] = Deferred()
        self.closed: Deferred[None] = Deferred()
        self.stored: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.settled: Deferred[None] = Deferred()
        self.happened: list[Any] = []
        self.port = self.service("port", succeed(None))
        doors = self.service("doors", self.closed)
        doors.drain = self.drain
        tree = MultiService()
        for service in (self.service("store", self.ended), self.port):
            service.setServiceParent(tree)
        parts = Parts(tree, [self.port], doors, self, lambda: self.settled)  # type: ignore[arg-type]
        self.server = Server(parts, self.clock, 10, ending, manager, lambda: "SIGTERM")
        self.server.startService()

    def service(self, name: str, ended: Deferred[None]) -> Any:
        service: Any = Service()

        def stop() -> Deferred[None]:
            self.happened.append(name)
            return ended

        service.stopService = stop
        service.port, service.sockets, service.kept = 7, [], False
        return service

    def drain(self, seconds: float) -> Deferred[None]:
        self.happened.append(("drain", seconds))
        return self.drained

    def moved(self) -> Deferred[None]:
        self.happened.append("journal")
        return self.stored

    def test_ready(self) -> None:
        """The manager is told when the engines have loaded."""
        self.assertEqual(self.told, [])
        self.settled.callback(None)
        self.assertEqual(self.told, ["READY=1"])
        self.assertEqual(self.clock.trigger, ("after", "shutdown", self.ending.now))

    def test_order(self) -> None:
        """The last answers, goodbyes, what was said, and only then what keeps it."""
        with capturedLogs() as events:
            stopping = self.server.stopService()
        self.assertEqual(self.happened, [("drain", 5)])
        self.assertEqual([formatEvent(e) for e in events], ["The server stops: SIGTERM"])
        for done, then in (
            (self.drained, ["doors"]),
            (self.closed, ["journal"]),
            (self.stored, ["port", "store"]),
        ):
            self.happened.clear()
            done.callback(None)
            self.assertEqual(self.happened, then)
        self.assertNoResult(stopping)
        self.clock.advance(0.25)
        with capturedLogs() as events:
            self.ended.callback(None)
        self.successResultOf(stopping)
        told = [formatEvent(event) for event in events]
        self.assertEqual(told, ["The server has stopped, after 0.2 s"])
        self.settled.callback(None)
        self.assertEqual(self.told, ["STOPPING=1"])

    def test_in_time(self) -> None:
        """Who never comes to an end is left behind; the process has a little longer."""
        stopping = self.server.stopService()
        self.drained.callback(None)
        for moment, then in ((6.6, "journal"), (7.6, "store")):
            self.assertNotIn(then, self.happened)
            self.clock.advance(moment - self.clock.seconds())
            self.assertIn(then, self.happened)
        self.clock.advance(1.3)
        self.assertNoResult(stopping)
        self.clock.advance(0.2)
        self.successResultOf(stopping)
        self.assertEqual(self.ending.limit, 9.5)

    def test_kept(self) -> None:
        """Who calls a server that begins anew waits in its port, which takes nobody any more."""
        self.ending.anew = True
        self.server.stopService()
        self.assertTrue(self.port.kept)
        self.assertEqual(self.happened[-1], "port")
