"""TLS on the port: the files, and real handshakes on loopback."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from cryptography import x509
from OpenSSL import SSL
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, TLSVersion, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.certificates import Pair, certify
from tests.services.open_house import nobody
from xiaozhi.device.http import post
from xiaozhi.device.ota import Address
from xiaozhi.device.websocket import Channel, open_channel
from xiaozhi.services.devices import Devices
from xiaozhi.services.web.listening import Listening
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.site import site
from xiaozhi.services.web.tls import EVERY, SOON, Certificates

reactor: Any = the_reactor


class Files(SynchronousTestCase):
    """What is made of the files."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.pair = certify(self.folder / "now")
        self.clock = Clock()
        self.clock.advance(time.time())

    def other(self, **features: Any) -> Pair:
        return certify(self.folder / "other", **features)

    def test_refused(self) -> None:
        """What cannot be used is said, with the file that is wrong, before anything starts."""
        other = self.other()
        secret = certify(self.folder / "secret", passphrase=b"xyzzy")
        junk = self.folder / "junk.pem"
        junk.write_bytes(b"-----BEGIN CERTIFICATE-----\nno\n")
        for certificate, key, file, why in (
            (self.folder / "none", self.pair.key, "none", "server.tls.certificate"),
            (self.pair.certificate, self.folder / "none", "none", "server.tls.key"),
            (junk, self.pair.key, "junk.pem", "no PEM certificate"),
            (self.pair.certificate, junk, "junk.pem", "no PEM private key"),
            (self.pair.certificate, other.key, "other/key.pem", "not the key"),
            (secret.certificate, secret.key, "secret/key.pem", "encrypted"),
        ):
            with self.assertRaises(OSError) as caught:
                Certificates(certificate, key, self.clock)
            self.assertIn(file, str(caught.exception))
            self.assertIn(why, str(caught.exception))

    def connect(self, certificates: Certificates) -> SSL.Context:
        nobody: Any = None  # the protocol is not looked at
        return certificates.serverConnectionForTLS(nobody).get_context()

    def test_renewed(self) -> None:
        """New files are taken at the next connection, when a second has passed since the last."""
        certificates = Certificates(*self.pair, self.clock)
        before = self.connect(certificates)
        self.pair.replace(self.other())
        self.assertIs(self.connect(certificates), before)
        self.clock.advance(EVERY)
        with capturedLogs() as events:
            after = self.connect(certificates)
        self.assertIsNot(after, before)
        self.assertIn("a new certificate", formatEvent(events[0]))
        self.clock.advance(EVERY)
        self.assertIs(self.connect(certificates), after)

    def test_modern(self) -> None:
        """TLS 1.2 and 1.3 are spoken, and nothing before."""
        options = Certificates(*self.pair, self.clock)._context.set_options(0)
        for old in (SSL.OP_NO_SSLv3, SSL.OP_NO_TLSv1, SSL.OP_NO_TLSv1_1):
            self.assertTrue(options & old)
        for good in (SSL.OP_NO_TLSv1_2, SSL.OP_NO_TLSv1_3):
            self.assertFalse(options & good)

    def test_broken(self) -> None:
        """Files that cannot be used are said once, and what was there is used on."""
        certificates = Certificates(*self.pair, self.clock)
        before = self.connect(certificates)
        key = self.pair.key.read_bytes()
        with capturedLogs() as events:
            for content in (b"junk", b"junk", None, None):
                self.clock.advance(EVERY)
                if content is None:
                    self.pair.key.unlink(missing_ok=True)
                elif self.pair.key.read_bytes() != content:
                    self.pair.key.write_bytes(content)
                self.assertIs(self.connect(certificates), before)
        self.assertEqual([event["log_level"] for event in events], [LogLevel.warn] * 2)
        self.assertIn("still used", formatEvent(events[0]))
        self.pair.key.write_bytes(key)
        self.clock.advance(EVERY)
        self.assertIsNot(self.connect(certificates), before)

    def test_running_out(self) -> None:
        """A certificate that has run out, or soon will, is said."""
        for days, said in ((90.0, None), (SOON / 86400 - 1, " ends on "), (-1.0, " ended on ")):
            certificates = Certificates(*self.other(days=days), self.clock)
            with capturedLogs() as events:
                certificates.warn()
            self.assertEqual(len(events), said is not None)
            if said is not None:
                self.assertIn(said, formatEvent(events[0]))


class Echo(WebSocketServerProtocol):
    """Sends back what it is sent."""

    def onMessage(self, payload: bytes, binary: bool) -> None:
        self.sendMessage(payload, binary)


class Ear:
    """Waits for one message after the other."""

    def __init__(self) -> None:
        self.message: Deferred[str | bytes] = Deferred()

    def received(self, message: str | bytes) -> None:
        self.message.callback(message)

    def closed(self, why: str) -> None:
        if not self.message.called:
            self.message.errback(AssertionError(why))


class Outcome(Protocol):
    """Tells how the connection ended, or that it was secured."""

    def __init__(self) -> None:
        self.secured: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()
        if not self.secured.called:
            self.secured.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.secured.called:
            self.secured.errback(reason)


class Case(TestCase):
    """Devices on loopback, through the real port."""

    timeout = 20
    protocol: type[WebSocketServerProtocol] = Echo

    def setUp(self) -> None:
        self.pair = certify(Path(self.mktemp()))
        self.trust(self.pair)
        factory = WebSocketServerFactory()
        factory.setProtocolOptions(closeHandshakeTimeout=1)
        factory.protocol = self.protocol
        offer = Offer(None, 1, lambda: datetime.now().astimezone())
        pages = site(factory, offer, Devices(), nobody())
        self.certificates = Certificates(*self.pair, reactor)
        self.listening = Listening(reactor, pages, ["127.0.0.1"], 0, self.certificates)
        self.listening.startService()
        self.addCleanup(self.listening.stopService)
        self.channels: list[Channel] = []
        self.addCleanup(self.hang_up)

    def trust(self, pair: Pair) -> None:
        """Have the clients of this process trust a certificate."""
        patched = mock.patch.dict(os.environ, SSL_CERT_FILE=str(pair.certificate.absolute()))
        patched.start()
        self.addCleanup(patched.stop)

    async def hang_up(self) -> None:
        for channel in self.channels:
            channel.drop(abort=True)
        for channel in self.channels:
            await channel.is_closed

    async def connect(self) -> tuple[Channel, Ear]:
        ear = Ear()
        address = Address("localhost", self.listening.port, "/xiaozhi/v1/", True)
        channel = await open_channel(reactor, ear, address, {}, reactor.seconds() + 10)
        self.channels.append(channel)
        return channel, ear


class Handshakes(Case):
    """How a device and the port come to terms."""

    def serial(self, channel: Channel) -> int:
        transport: Any = channel.transport
        certificate: x509.Certificate = transport.getPeerCertificate().to_cryptography()
        return certificate.serial_number

    async def test_renewed_while_connected(self) -> None:
        """A renewed certificate is for new connections; those there go on as they are."""
        first, ear = await self.connect()
        self.assertEqual(self.serial(first), self.pair.serial)
        self.pair.replace(certify(Path(self.mktemp())))
        self.trust(self.pair)
        self.certificates.refresh()
        second, _ = await self.connect()
        self.assertEqual(self.serial(second), self.pair.serial)
        self.assertNotEqual(self.serial(first), self.serial(second))
        first.send("still here")
        self.assertEqual(await ear.message, "still here")

    async def test_much(self) -> None:
        """A message of the largest size comes through whole, both ways."""
        channel, ear = await self.connect()
        message = bytes(range(256)) * 255
        channel.send(message)
        self.assertEqual(await ear.message, message)

    async def test_ota(self) -> None:
        """A device that asked by TLS is sent to a wss address, with its port."""
        url = f"https://localhost:{self.listening.port}/xiaozhi/ota/"
        device = {"Device-Id": "AA:BB:CC:DD:EE:FF"}
        _, body = await post(reactor, url, device, [b"{}"], 10)
        answer = json.loads(body)
        self.assertEqual(
            answer["websocket"]["url"], f"wss://localhost:{self.listening.port}/xiaozhi/v1/"
        )

    async def test_old_tls(self) -> None:
        """TLS 1.1 is refused; 1.2 will do."""
        authority = Certificate.loadPEM(self.pair.certificate.read_bytes())
        endpoint = HostnameEndpoint(reactor, b"localhost", self.listening.port)
        for version, allowed in ((TLSVersion.TLSv1_1, False), (TLSVersion.TLSv1_2, True)):
            options = optionsForClientTLS(
                "localhost",
                trustRoot=authority,
                extraCertificateOptions={
                    "insecurelyLowerMinimumTo": TLSVersion.TLSv1_0,
                    "lowerMaximumSecurityTo": version,
                },
            )
            outcome: Any = await wrapClientTLS(options, endpoint).connect(
                Factory.forProtocol(Outcome)
            )
            if allowed:
                await outcome.secured
            else:
                await self.assertFailure(outcome.secured, SSL.Error)


class Tap:
    """A producer that notes how it is treated, and can be waited for."""

    def __init__(self) -> None:
        self.paused: Deferred[None] = Deferred()
        self.resumed: Deferred[None] = Deferred()

    def pauseProducing(self) -> None:
        if not self.paused.called:
            self.paused.callback(None)

    def resumeProducing(self) -> None:
        if not self.resumed.called:
            self.resumed.callback(None)

    def stopProducing(self) -> None:
        pass


class Flood(WebSocketServerProtocol):
    """Sends more than a slow reader takes, and listens to its transport as a `Link` does."""

    tap: Tap
    transport: Any

    def onOpen(self) -> None:
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.tap, True)
        for _ in range(200):
            self.sendMessage(bytes(100_000), True)


class Slow(Case):
    """Devices that do not read what they are sent."""

    protocol = Flood

    async def test_slow_reader(self) -> None:
        """Who writes is told that the peer does not read, and when it does again."""
        Flood.tap = Tap()
        channel, ear = await self.connect()
        channel.hold(True)
        await Flood.tap.paused
        self.assertFalse(Flood.tap.resumed.called)
        ear.received = lambda message: None  # type: ignore[method-assign]
        channel.hold(False)
        await Flood.tap.resumed
