"""One connection, from its hello to its end: may it stay, does it, what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import messages
from xiaozhi.devicetools import DeviceTools
from xiaozhi.events import Due, Farewell, Lapsed
from xiaozhi.identity import Identity
from xiaozhi.idling import Idling, Patience, Signs, Step
from xiaozhi.limits import Bucket
from xiaozhi.phrases import notice
from xiaozhi.presence import Presence, Unregistered
from xiaozhi.scope import about
from xiaozhi.services.counters import Counters
from xiaozhi.services.reminders import SOON, Notice, Reminders
from xiaozhi.services.store.records import Entry, Seen, SessionMemory
from xiaozhi.session import Session
from xiaozhi.timers import Timers

OVERLAP = 1.5
"""Seconds a connection may go on after a newer one of the same device has taken over."""

BURST = 5.0
"""Seconds of messages that may come at once: a network that stalled catches up."""

LARGE = 2000
"""Bytes that count as one message more."""

UNREGISTERED = "设备注册失败".encode()
"""What a device is told that may not stay: this text as it is, no JSON."""


def _obey_nobody(order: messages.Order) -> Deferred[messages.Obeyed]:
    return succeed(messages.Obeyed.to(order, "orders are not taken here"))


@attrs.frozen
class Terms:
    """What holds for every visit."""

    presence: Presence
    counters: Counters
    wall: Callable[[], float]
    """Tells the seconds since 1970."""
    remember: Callable[[SessionMemory], None] = lambda memory: None
    """Keeps what was said, at once."""
    patience: Patience = attrs.field(factory=Patience)
    reminders: Reminders | None = None
    """Has the user told what is due."""
    rate: int = 200
    """Messages a device may send in a second, on average."""
    obey: Callable[[messages.Order], Deferred[messages.Obeyed]] = _obey_nobody
    """Does what an operator asks for, and answers always."""


class Visit:
    """One connection. The protocol tells what comes; `close` ends all of it."""

    log = Logger()

    def __init__(
        self, session: Session, identity: Identity, terms: Terms, clock: Any, tools: DeviceTools
    ) -> None:
        """Look after `session`, of the device that names itself `identity` and has `tools`."""
        self.session = session
        self.identity = identity
        self.tools = tools
        self._terms = terms
        self._began = terms.wall()
        self._stage: Literal["new", "here", "leaving", "gone"] = "new"
        self._idling = Idling(terms.patience, clock.seconds())
        self._bucket = Bucket(terms.rate, terms.rate * BURST)
        self._timers = Timers(clock, session.link)
        self._ignored = 0
        """Messages nobody has a use for."""
        self._registering: Deferred[None] | None = None
        terms.presence.expect(self)

    @property
    def language(self) -> str:
        """The user's language."""
        return self.session.language

    # -- in --

    def affords(self, size: int) -> bool:
        """Say whether the device may send one more message, of so many bytes."""
        # A large one is as much work as many: 64 KB of JSON take four milliseconds.
        return self._bucket.take(self._timers.now, 1 + size // LARGE)

    def arrive(self, hello: messages.Hello, address: str) -> None:
        """Take the route of the device, which was just welcomed; find out whether it may stay."""
        self._stage = "here"
        self.session.link.badge = hello.badge
        self._idling.came = self._timers.now
        self._terms.presence.take(self)
        if "mcp" in hello.features:
            self.tools.begin()
        if self.identity.known:
            seen = Seen(id=self.identity.device, client_id=self.identity.client, address=address)
            self._registering = Deferred.fromCoroutine(self._register(seen))
            self._registering.addErrback(self._failed)
        else:
            self._await_reminders()
        self._look()

    def receive(self, message: messages.Message) -> None:
        """Take a message of the device's, except its hello."""
        self._idling.came = self._timers.now
        if self._stage != "here":
            return  # a newer connection is the one that is heard
        match message:
            case messages.Ping():
                self.session.link.send(messages.Pong())
            case messages.Number(value):
                self.session.link.text(b"%d" % value)
            case messages.Order():
                self._terms.obey(message).addCallback(self.session.link.send)
            case messages.ConfigUpdate():
                self.session.link.send(messages.CONFIG_UPDATED)
            case messages.Mcp(payload):
                self.tools.receive(payload)
            case messages.Other(kind, known):
                self._ignored += 1
                if message.badge and not self.session.link.badge:
                    self.session.link.badge = True
                    self._look()  # a badge has less time
                if not known and self._ignored == 1:
                    self.log.info("unknown message type {kind!r}, ignored", kind=kind[:40])
            case _:
                self._hear(message)

    def _hear(self, message: messages.Message) -> None:
        """Take what concerns the turn."""
        if not isinstance(message, messages.Sound):  # which comes while a tool runs, too
            self.tools.awake()
        self.session.receive(message)

    def ring(self, notice: Notice) -> None:
        """Tell the user of a reminder, when nobody is interrupted."""
        text, title = notice.text, notice.title
        self.session.post(
            Due(text, notice.language, title, notice.again, notice.told, notice.answered)
        )

    # -- the device's other connections --

    def overtaken(self) -> None:
        """Finish the sentence, since a newer connection has taken over, and go."""
        self._stage = "leaving"
        self._leave_reminders()
        with about(self.session.link.scope):  # it is the newer one's message that brings this
            self.log.info("another connection of the device has taken over")
            self._tell(messages.System(self._notice("replaced")))
            self._timers.stop()
            self._timers.after("overlap", OVERLAP, self.dismiss, 1000, "taken over")

    def dismiss(self, code: int, reason: str) -> None:
        """Close the connection, with the code of RFC 6455 and the reason to tell the device."""
        self.session.link.close(code, reason)

    def forget(self, seconds: float | None, about: str = "") -> None:
        """Drop what was said in the last `seconds`, or (None) ever; or only `about` something."""
        self.session.forget(seconds, about)

    # -- out --

    def close(self) -> None:
        """End everything, whatever is under way, and keep what was said. Idempotent."""
        if self._stage == "gone":
            return
        self._stage = "gone"
        self._timers.stop()
        if self._registering is not None:
            self._registering.cancel()
        self._terms.presence.leave(self)
        self._leave_reminders()
        self.session.close()  # before its tools fail, or a model would be told of that
        self.tools.close()
        offset = self._terms.wall() - self._timers.now
        said = tuple(
            Entry(role, text, round(at + offset, 3)) for role, text, at in self.session.said()
        )
        if said and self.identity.known:
            self._terms.remember(
                SessionMemory(
                    session_id=self.session.link.scope.session,
                    device_id=self.identity.device,
                    began=self._began,
                    ended=self._terms.wall(),
                    entries=said,
                )
            )

    def account(self) -> str:
        """Sum up what went wrong on the wire, for the log."""
        return f"{self.session.account()}, {self._ignored} messages ignored"

    async def _register(self, device: Seen) -> None:
        """Find out whether the device may stay; if not, say so and close."""
        try:
            known = await self._terms.presence.register(device)
        except Unregistered as error:
            self._terms.counters.count("registrations_failed", reason=error.reason)
            self.log.warn(
                "{device} is not registered: {why}",
                device=device.id,
                why=error,
            )
            self.session.link.text(UNREGISTERED)
            self.dismiss(error.code, "not registered")
        else:
            if known is not None:
                self.session.begin_as(known.role)
            self._await_reminders()

    def _await_reminders(self) -> None:
        if self._terms.reminders is not None and self._stage == "here":
            self._terms.reminders.arrive(self)

    def _leave_reminders(self) -> None:
        if self._terms.reminders is not None:
            self._terms.reminders.leave(self)

    def _awaits(self) -> bool:
        """Say whether the user is to be told something soon."""
        reminders = self._terms.reminders
        return reminders is not None and reminders.expects(self.identity.device, SOON)

    def _failed(self, failure: Failure) -> None:
        """We are wrong, or the device has gone meanwhile."""
        if failure.check(CancelledError) is None:
            self.log.failure("our fault", failure)
            self.dismiss(1011, "internal error")

    # -- time --

    def _look(self) -> None:
        """See whether the connection is idle, do what is due, and look again when more may be."""
        now = self._timers.now
        signs = Signs(
            self.session.state,
            self.session.stirred,
            self.session.link.spoke,
            self.session.link.badge,
            self._awaits(),
        )
        steps, again = self._idling.look(now, signs)
        for step in steps:
            self._act(step)
        if self._stage == "here":
            self._timers.after("look", again - now, self._look)

    def _act(self, step: Step) -> None:
        match step:
            case "pong":
                self.session.link.send(messages.Pong())
            case "warn":
                self._tell(messages.System(self._notice("idle")))
            case "farewell":
                self.log.info("nobody has spoken for long")
                self.session.post(Farewell())
            case "alarm":
                self.session.link.send(messages.System(self._notice("silent"), "timeout_warning"))
            case "expire":
                self.dismiss(1000, "no message came for long")
            case "lapse":
                self.session.post(Lapsed())

    def _tell(self, message: messages.Down) -> None:
        """Tell the device, if it is one that takes such messages."""
        if self.session.link.badge:
            self.session.link.send(message)

    def _notice(self, key: Literal["idle", "silent", "replaced"]) -> str:
        return notice(key, self.language)
