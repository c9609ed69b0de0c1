"""Listening on one port, on real sockets of this machine."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

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

    async def test_no_ipv6(self) -> None:
        """A machine without that IPv6 address is served on IPv4."""
        listening = Listening(reactor, self.factory, ["127.0.0.1", "2001:db8::1"], 0)
        listening.privilegedStartService()
        self.assertEqual(len(listening._sockets), 1)
        listening.startService()
        await listening.stopService()
        self.flushLoggedErrors()
