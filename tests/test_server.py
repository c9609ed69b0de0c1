"""The whole server stops in order, and in time."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.server import SETTLING, Server
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
        self.server = Server(self.clock, 10, ending, manager)
        self.drained: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.happened: list[Any] = []
        self.server.doors = self  # type: ignore[assignment]
        self.server.listening = [self.service("port", succeed(None))]
        for service in (self.service("engine", self.ended), *self.server.listening):
            service.setServiceParent(self.server)
        self.settled: Deferred[None] = Deferred()
        self.server.settled = lambda: self.settled
        self.server.startService()

    def service(self, name: str, ended: Deferred[None]) -> Any:
        service: Any = Service()

        def stop() -> Deferred[None]:
            self.happened.append(name)
            return ended

        service.stopService = stop
        service.port, service.sockets = 7, []
        return service

    def drain(self, seconds: float) -> Deferred[None]:
        self.happened.append(("drain", seconds))
        return self.drained

    def test_ready(self) -> None:
        """The manager is told when the engines have loaded, or after a while."""
        self.assertEqual(self.told, [])
        self.clock.advance(SETTLING)
        self.assertEqual(self.told, ["READY=1"])
        self.assertEqual(self.clock.trigger, ("after", "shutdown", self.ending.now))

    def test_order(self) -> None:
        """Nobody new, the last answers, and only then what gives them."""
        stopping = self.server.stopService()
        self.assertTrue(self.server.draining.on)
        self.assertEqual(self.happened, ["port", ("drain", 5)])
        self.drained.callback(None)
        self.assertEqual(self.happened[2:], ["port", "engine"])
        self.assertNoResult(stopping)
        self.ended.callback(None)
        self.successResultOf(stopping)
        self.settled.callback(None)
        self.assertEqual(self.told, ["STOPPING=1"])

    def test_in_time(self) -> None:
        """A service that never stops is left behind; the process has a little longer."""
        stopping = self.server.stopService()
        self.drained.callback(None)
        self.clock.advance(8.9)
        self.assertNoResult(stopping)
        self.clock.advance(0.2)
        self.successResultOf(stopping)
        self.assertEqual(self.ending.limit, 9.5)

    def test_kept(self) -> None:
        """A server that begins anew keeps its ports open."""
        self.ending.anew = True
        self.server.stopService()
        self.assertTrue(self.server.listening[0].kept)
