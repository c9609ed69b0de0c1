"""The device's WebSocket: the handshake and the bytes, as the firmware has them."""

from __future__ import annotations

import base64
import secrets
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.ssl import optionsForClientTLS

from xiaozhi.device.errors import DeviceError, NoAnswer, Refused, Unreachable
from xiaozhi.device.ota import Address

OPEN: float = 10.0
"""Seconds the firmware waits for the connection, and again for the hello."""


class Owner(Protocol):
    """What a channel tells of itself."""

    def received(self, message: str | bytes) -> None:
        """Take a message."""

    def closed(self, why: str) -> None:
        """Take note that the channel is no longer any use."""


class Channel(WebSocketClientProtocol):
    """One WebSocket to the server. It pings nobody, and closes without a word."""

    def __init__(self, owner: Owner, address: Address, headers: dict[str, str]) -> None:
        """Shake hands for `address` with `headers`, then report to `owner`."""
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self._owner: Owner | None = owner
        self._address = address
        self._request_headers = headers

    def startHandshake(self) -> None:
        """Send the firmware's own request: its Host has no port, and little else is in it."""
        self.websocket_key = base64.b64encode(secrets.token_bytes(16))
        lines = [
            f"GET {self._address.path} HTTP/1.1",
            f"Host: {self._address.host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {self.websocket_key.decode()}",
            *(f"{name}: {value}" for name, value in self._request_headers.items()),
        ]
        self.http_request_data = "\r\n".join([*lines, "", ""]).encode()
        self.sendData(self.http_request_data)

    def failHandshake(self, reason: str) -> None:
        """Tell who waits that the server does not want this device."""
        self._fail(Refused(reason))
        super().failHandshake(reason)

    def onOpen(self) -> None:
        """Tell who waits that the channel is open."""
        if not self.opened.called:
            self.opened.callback(None)

    def onMessage(self, payload: bytes, binary: bool) -> None:
        """Pass a message on."""
        if self._owner is not None:
            self._owner.received(payload if binary else payload.decode("utf-8", "replace"))

    def onCloseFrame(self, code: int | None, reason: bytes | None) -> None:
        """Give the channel up, and leave it to the server to drop it: no reply is sent."""
        self._lose(f"the server closed the connection ({code} {(reason or b'').decode()})")

    def onClose(self, clean: bool, code: int | None, reason: str | None) -> None:
        """Take note that the connection is gone."""
        self._fail(Unreachable(f"the connection ended in the handshake: {reason}"))
        self._lose("the connection was lost")

    def send(self, message: str | bytes) -> None:
        """Send a message, if there is still someone to send it to."""
        if self._owner is not None:
            self.sendMessage(
                message if isinstance(message, bytes) else message.encode(),
                isinstance(message, bytes),
            )

    def drop(self, *, abort: bool = False) -> None:
        """Hang up as the firmware does, by dropping the connection; with `abort`, by a reset."""
        self._owner = None
        self.dropConnection(abort=abort)

    def hold(self, on: bool) -> None:
        """Stop reading from the connection, or read on."""
        transport: Any = self.transport
        if on:
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    def _fail(self, error: DeviceError) -> None:
        if not self.opened.called:
            self.opened.errback(error)

    def _lose(self, why: str) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.closed(why)


class _Factory(WebSocketClientFactory):
    """Make the one channel it is for."""

    noisy = False

    def __init__(self, channel: Channel, url: str, reactor: Any) -> None:
        super().__init__(url, reactor=reactor)
        self._channel = channel

    def buildProtocol(self, addr: object) -> Channel:
        """Give the channel to its connection."""
        self._channel.factory = self
        return self._channel


async def open_channel(
    reactor: Any, owner: Owner, address: Address, headers: dict[str, str], deadline: float
) -> Channel:
    """Open a WebSocket to `address`. Raises Unreachable, Refused, NoAnswer."""
    factory = _Factory(Channel(owner, address, headers), f"ws://{address.host}/", reactor=reactor)
    factory.setProtocolOptions(
        openHandshakeTimeout=OPEN, serverConnectionDropTimeout=0, utf8validateIncoming=False
    )
    seconds = max(0.1, min(OPEN, deadline - reactor.seconds()))
    endpoint: Any = HostnameEndpoint(reactor, address.host.encode(), address.port, timeout=seconds)
    if address.tls:
        endpoint = wrapClientTLS(optionsForClientTLS(address.host), endpoint)
    where = f"{address.host}:{address.port}"
    try:
        channel: Channel = await endpoint.connect(factory)
    except (ConnectError, DNSLookupError) as error:
        raise Unreachable(f"{where}: {error}") from error
    try:
        await channel.opened.addTimeout(seconds, reactor)
    except TimeoutError:
        channel.drop(abort=True)
        raise NoAnswer(f"no answer in time: {where} does not shake hands") from None
    return channel
