"""Who is connected: makes a protocol for each connection and a session for each device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import attrs
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall, deferLater

from xiaozhi import messages
from xiaozhi.conversation import Conversation
from xiaozhi.devicetools import DeviceTools
from xiaozhi.ears import Ears
from xiaozhi.endpointing import Limits
from xiaozhi.identity import Identity
from xiaozhi.limits import Crowd
from xiaozhi.link import Link
from xiaozhi.manners import Manners
from xiaozhi.presence import Presence
from xiaozhi.protocol import DeviceProtocol
from xiaozhi.services.auth import Gate
from xiaozhi.services.counters import Counters
from xiaozhi.services.devices import Devices
from xiaozhi.services.vad import Detector
from xiaozhi.services.web.address import Arrival
from xiaozhi.session import Session, Staff
from xiaozhi.turn import State
from xiaozhi.visit import Terms, Visit

AT_ONCE = 500
"""Sessions that are given other staff in one go: that takes a fifth of a millisecond."""

UPLINK_LIMIT = 65536
"""Bytes of a message: the firmware sends 65535 at most."""


def _nowhere(device: str, arrival: Arrival) -> Mapping[str, str]:
    return {"url": "", "token": ""}


@attrs.frozen
class House:
    """What every session of this server is made with."""

    staff: Staff
    detector: Detector
    limits: Limits
    manners: Manners
    devices: Devices
    terms: Terms
    vision: Callable[[str, Arrival], Mapping[str, str]] = _nowhere
    """Tells where a device's photos go: the `url` and the `token` for it."""


class DeviceFactory(WebSocketServerFactory):
    """Make sessions, and know those there are."""

    protocol: Any = DeviceProtocol

    def __init__(self, house: House, gate: Gate, clock: Any, crowd: Crowd) -> None:
        """Serve those the `gate` admits, as many as `crowd` lets in; `clock` is the reactor."""
        super().__init__()
        self._emptied: Deferred[None] = succeed(None)
        self.clock = clock
        self.gate = gate
        self.sessions: set[Session] = set()
        self.crowd = crowd
        self._house = house
        self._measure()
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
        )
        self.options = {name: getattr(self, name) for name in WebSocketServerProtocol.CONFIG_ATTRS}
        """What each protocol is given."""

    async def furnish(self, house: House, staff: Callable[[messages.AudioParams], Staff]) -> None:
        """Serve as `house` says from now on.

        Sessions there are go on with `staff`, made for the sound each was promised. That is done
        some at a time, so that thousands keep nobody waiting; cancelling leaves it half done.
        """
        self._house = house
        # One for each sound there is, of which there are few.
        made: dict[messages.AudioParams, Staff] = {}
        before = list(self.sessions)  # those that come meanwhile are made with the new house
        for first in range(0, len(before), AT_ONCE):
            if first:
                await deferLater(self.clock, 0.0)
            for session in before[first : first + AT_ONCE]:
                if session.downlink not in made:
                    made[session.downlink] = staff(session.downlink)
                session.engage(made[session.downlink])

    @property
    def presence(self) -> Presence:
        """Who is connected, by device."""
        return self._house.terms.presence

    @property
    def counters(self) -> Counters:
        """What is counted."""
        return self._house.terms.counters

    def answers_pings(self, identity: Identity) -> bool:
        """Say whether a device can be sent WebSocket pings."""
        return self._house.devices.answers_pings(identity.device)

    def admit(self, link: Link, identity: Identity, arrival: Arrival) -> Visit:
        """Begin the visit of a device that has connected."""
        house = self._house
        vision = house.vision(identity.device, arrival)
        tools = DeviceTools(link, self.clock, self.counters, vision)
        language = house.devices.language(identity.device)
        about = identity.device, identity.known, language
        talk = Conversation(house.staff.talk, *about, self.clock, tools)
        session = Session(
            link,
            Ears(house.detector, house.limits),
            house.manners,
            house.staff,
            talk,
            self.clock,
        )
        self.sessions.add(session)
        return Visit(session, identity, house.terms, self.clock, tools)

    def _measure(self) -> None:
        """Have the metrics tell who is here."""
        self.counters.gauge("connections", lambda: self.countConnections)
        for state in get_args(State):
            self.counters.count("sessions", 0, state=state)  # each session adds itself: see Tally

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
    """Lets devices in, and says goodbye when the server stops."""

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
        """Let nobody in; tell each device that we go when its answer is over, for `seconds`."""
        self._factory.crowd.closed = True
        if self._draining is None:
            self._draining = LoopingCall(self._dismiss)
            self._draining.clock = self._clock
            self._draining.start(self.step)
        return self._gone(seconds)

    def stopService(self) -> Deferred[None]:
        """Tell every device, and wait until they are gone, but not for ever."""
        super().stopService()
        if self._draining is not None and self._draining.running:
            self._draining.stop()
        self._dismiss(all_of_them=True)
        self._factory.stopFactory()
        return self._gone(self.patience)

    def _dismiss(self, all_of_them: bool = False) -> None:
        for session in list(self._factory.sessions):
            if all_of_them or not session.answering:
                session.link.close(1001, "the server stops")

    def _gone(self, seconds: float) -> Deferred[None]:
        gone = self._factory.empty()
        return gone.addTimeout(seconds, self._clock, onTimeoutCancel=lambda *_: None)
