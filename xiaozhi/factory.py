"""Who is connected: makes a protocol for each connection and a session for each device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from xiaozhi import wire
from xiaozhi.ears import Ears
from xiaozhi.endpointing import Limits
from xiaozhi.identity import Identity
from xiaozhi.link import Link
from xiaozhi.protocol import DeviceProtocol
from xiaozhi.services.devices import Devices
from xiaozhi.services.vad import Detector
from xiaozhi.session import Session, Staff
from xiaozhi.turn import Manners

UPLINK_LIMIT = 65536
"""Bytes of a message: the firmware sends 65535 at most."""


@attrs.frozen
class House:
    """What every session of this server is made with."""

    staff: Staff
    detector: Detector
    limits: Limits
    manners: Manners
    devices: Devices


class DeviceFactory(WebSocketServerFactory):
    """Make sessions, and know those there are."""

    protocol: Any = DeviceProtocol

    def __init__(self, house: House, clock: Any, max_connections: int) -> None:
        """Serve devices as `house` says; `clock` is the reactor."""
        super().__init__()
        self._emptied: Deferred[None] = succeed(None)
        self.clock = clock
        self.sessions: set[Session] = set()
        self._house = house
        self.setProtocolOptions(
            # The firmware does not check its UTF-8 (an SSID may be anything): see wire.
            utf8validateIncoming=False,
            maxMessagePayloadSize=UPLINK_LIMIT,
            maxFramePayloadSize=UPLINK_LIMIT,
            failByDrop=False,
            openHandshakeTimeout=10,
            closeHandshakeTimeout=1,
            autoPingInterval=20,
            autoPingTimeout=50,
            tcpNoDelay=True,
            maxConnections=max_connections,
        )

    def furnish(self, house: House, staff: Callable[[wire.AudioParams], Staff]) -> None:
        """Serve as `house` says from now on.

        Sessions there are go on with `staff`, made for the sound each was promised.
        """
        self._house = house
        for session in self.sessions:
            session.engage(staff(session.downlink))

    def limit(self, max_connections: int) -> None:
        """Accept so many connections at one time from now on."""
        self.setProtocolOptions(maxConnections=max_connections)

    def admit(self, link: Link, identity: Identity) -> Session:
        """Make the session of a device that has connected."""
        house = self._house
        session = Session(
            link,
            Ears(house.detector, house.limits),
            house.manners,
            house.staff,
            house.devices.language(identity.device),
            self.clock,
        )
        self.sessions.add(session)
        return session

    def forget(self, session: Session) -> None:
        """Let go of a session whose connection is gone."""
        self.sessions.discard(session)
        if not self.sessions and not self._emptied.called:
            self._emptied.callback(None)

    def empty(self) -> Deferred[None]:
        """Wait until no device is connected."""
        if not self.sessions:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied


class Doors(Service):
    """Says goodbye when the server stops."""

    patience = 2.0
    step = 0.1
    """Seconds between two looks at who is being answered."""

    def __init__(self, factory: DeviceFactory, clock: Any) -> None:
        """Close the connections of `factory`."""
        self._factory = factory
        self._clock = clock
        self._draining: LoopingCall | None = None

    def startService(self) -> None:
        """Open."""
        super().startService()
        self._factory.startFactory()

    def drain(self, seconds: float) -> Deferred[None]:
        """Tell every device that we go, when its answer is over, or after `seconds`."""
        if self._draining is None:
            self._draining = LoopingCall(self._dismiss)
            self._draining.clock = self._clock
            self._draining.start(self.step)
        gone = self._factory.empty()
        return gone.addTimeout(seconds, self._clock, onTimeoutCancel=lambda *_: None)

    def _dismiss(self) -> None:
        for session in list(self._factory.sessions):
            if not session.answering:
                session.link.close(1001, "the server stops")

    def stopService(self) -> Deferred[None]:
        """Tell every device, and wait until they are gone, but not for ever."""
        super().stopService()
        if self._draining is not None and self._draining.running:
            self._draining.stop()
        for session in list(self._factory.sessions):
            session.link.close(1001, "the server stops")
        gone = self._factory.empty()
        gone.addTimeout(self.patience, self._clock, onTimeoutCancel=lambda *_: None)
        self._factory.stopFactory()
        return gone
