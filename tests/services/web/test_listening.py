"""Listening on one port, on real sockets of this machine."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from xiaozhi.services.systemd import Handed
from xiaozhi.services.web.listening import Listening

reactor: Any = the_reactor


class ListeningTest(TestCase):
    timeout = 10

    def setUp(self) -> None:
        self.connected: list[str] = []
        self.arrival: Deferred[None] = Deferred()
        factory: Any = Factory()
        factory.buildProtocol = self.arrived
        self.factory = factory

    def arrived(self, address: Any) -> Protocol:
        self.connected.append(address.host)
        protocol = Protocol()
        protocol.connectionMade = self.hang_up(protocol)  # type: ignore[method-assign]
        return protocol

    def hang_up(self, protocol: Protocol) -> Any:
        def made() -> None:
            assert protocol.transport is not None
            protocol.transport.loseConnection()
            self.arrival.callback(None)

        return made

    async def test_both_families(self) -> None:
        """One port serves IPv4 and IPv6."""
        listening = Listening(reactor, self.factory, ["127.0.0.1", "::1"], 0)
        listening.privilegedStartService()
        listening.startService()
        self.addCleanup(listening.stopService)
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, listening.port))
                await self.arrival
                self.arrival = Deferred()
        self.assertEqual(self.connected, ["127.0.0.1", "::1"])

    async def test_stop(self) -> None:
        """A stopped server accepts no more."""
        listening = Listening(reactor, self.factory, ["127.0.0.1"], 0)
        listening.startService()
        await listening.stopService()
        with socket.socket() as client, self.assertRaises(ConnectionRefusedError):
            client.connect(("127.0.0.1", listening.port))

    def test_taken(self) -> None:
        """A port that is taken is an error that names it, and nothing stays open."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            listening = Listening(reactor, self.factory, ["::1", "127.0.0.1"], port)
            with self.assertRaises(OSError) as caught:
                listening.privilegedStartService()
            self.assertIn(f"port {port}", str(caught.exception))
            self.assertEqual(listening._sockets, [])

    def given(self, name: str) -> Handed:
        bound = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(bound.close)
        return Handed(name, bound)

    async def test_handed(self) -> None:
        """Sockets a manager made are used, whatever was configured."""
        given = [self.given("xiaozhi.socket"), self.given("kept-1")]
        port = given[0].socket.getsockname()[1]
        listening = Listening(reactor, self.factory, ["127.0.0.2", "::1"], 1)
        listening.adopt(given)
        self.assertEqual([one.name for one in given], ["kept-1"])
        listening.startService()
        self.assertEqual((listening.port, listening.addresses), (port, ["127.0.0.1"]))
        with socket.socket() as client:
            client.connect(("127.0.0.1", port))
            await self.arrival
        await listening.stopService()

    async def test_kept(self) -> None:
        """Our own from before are used if they are still wanted; what is missing is bound."""
        given = [self.given("kept-0"), self.given("kept-1")]
        port = given[0].socket.getsockname()[1]
        listening = Listening(reactor, self.factory, ["127.0.0.1", "::1"], 0)
        listening.adopt(given)
        listening.startService()
        self.assertEqual([one.name for one in given], ["kept-1"])
        self.assertEqual([one.name for one in listening.sockets], ["kept-0"] * 2)
        self.assertEqual(listening.port, port)
        other = Listening(reactor, self.factory, ["127.0.0.2"], 1)
        other.adopt(given)
        self.assertEqual((other.sockets, len(given)), ([], 1))
        # Who comes after us finds them open, and whoever called meanwhile.
        listening.kept = True
        await listening.stopService()
        with socket.socket() as client:
            client.connect(("127.0.0.1", port))
            again = Listening(reactor, self.factory, ["127.0.0.1", "::1"], 0)
            again.adopt(list(listening.sockets))
            again.startService()
            await self.arrival
        await again.stopService()

    async def test_no_ipv6(self) -> None:
        """A machine without that IPv6 address is served on IPv4."""
        listening = Listening(reactor, self.factory, ["127.0.0.1", "2001:db8::1"], 0)
        listening.privilegedStartService()
        self.assertEqual(len(listening._sockets), 1)
        listening.startService()
        await listening.stopService()
        self.flushLoggedErrors()
