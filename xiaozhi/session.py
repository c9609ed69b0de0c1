"""One device's session: does what the turn decides, and decides nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import events as e
from xiaozhi import turn as t
from xiaozhi import wire
from xiaozhi.dialogue import Dialogue
from xiaozhi.ears import Ears
from xiaozhi.endpointing import Hush, Speech
from xiaozhi.errors import ServiceError
from xiaozhi.link import Link
from xiaozhi.modes.chat import Chat
from xiaozhi.phrases import Key, phrase
from xiaozhi.reply import Reply
from xiaozhi.services.asr import Recognition
from xiaozhi.voice import Voice


@attrs.frozen
class Staff:
    """The services a session is handed."""

    recognition: Recognition
    chat: Chat
    voice: Callable[[], Voice]
    """Makes the voice of one answer."""
    warm: Callable[[], None]
    """Gets the engines ready, since they will be needed soon."""
    downlink: wire.AudioParams
    """What is sent, as the welcome declares it."""
    language: str
    """The server's language, spoken until the user's is known."""
    obey: Callable[[wire.Order], Deferred[wire.Obeyed]]
    """Does what an operator asks for, and answers always."""


STUTTER = 0.3
"""Seconds within which the same message again is the same message."""


class Session:
    """What is kept of one connection. `receive` takes the device's messages, in order."""

    log = Logger()

    def __init__(
        self, link: Link, ears: Ears, manners: t.Manners, staff: Staff, language: str, clock: Any
    ) -> None:
        """Serve the device behind `link`, whose user's `language` is known, or "" if not."""
        self.link = link
        self._ears = ears
        self._turn = t.Turn(manners)
        self._staff = staff
        self._clock = clock
        self._dialogue = Dialogue(staff.chat.turns, language, staff.language)
        self._events: deque[e.Event] | None = deque()
        """What happened and is not dealt with; None once the session is closed."""
        self._work: Deferred[None] | None = None
        """The recognition or the answer under way."""
        self._reply: Reply | None = None
        self._timers: dict[str, IDelayedCall] = {}
        self._ignored = 0
        """Messages nobody has a use for."""
        self._latest: tuple[wire.Message | None, float] = (None, 0.0)
        """The message before this one, and when it came."""

    @property
    def downlink(self) -> wire.AudioParams:
        """The sound that is sent, as it is declared once and for all."""
        return self._staff.downlink

    def engage(self, staff: Staff) -> None:
        """Be served by `staff` from the next turn on; it must send the same sound."""
        self._staff = staff

    @property
    def answering(self) -> bool:
        """Whether the user waits for an answer, or hears it."""
        return self._turn.state in ("thinking", "speaking")

    @property
    def state(self) -> t.State:
        """Whose turn it is."""
        return self._turn.state

    # -- in --

    def receive(self, message: wire.Message) -> None:
        """Take a message of the device's, except its hello."""
        if isinstance(message, wire.Detect) and self._repeats(message):
            return
        self._latest = message, self._clock.seconds()
        match message:
            case wire.Sound() | wire.ListenStart() | wire.ListenStop() | wire.Abort():
                self.post(message)
            case wire.Detect(text):
                self.post(e.Detected(text, self._ears.follows_sound(self._clock.seconds())))
            case wire.Ping():
                self.link.send(wire.Pong())
            case wire.Order():
                self._staff.obey(message).addCallback(self.link.send)
            case wire.ConfigUpdate():
                self.link.send(wire.CONFIG_UPDATED)
            case wire.Number(value):
                self.link.text(b"%d" % value)
            case wire.Other(kind, known):
                self._ignored += 1
                if not known and self._ignored == 1:
                    self.log.info(
                        "{session}: unknown message type {kind!r}, ignored",
                        session=self.link.session_id,
                        kind=kind[:40],
                    )

    def _repeats(self, message: wire.Message) -> bool:
        """Say whether the device stutters: the same message again, at once."""
        before, when = self._latest
        return message == before and self._clock.seconds() - when < STUTTER

    def post(self, event: e.Event) -> None:
        """Let the turn decide on `event`; what comes of it meanwhile waits its turn."""
        if self._events is None:
            return
        self._events.append(event)
        if len(self._events) > 1:
            return  # a call further down the stack is at it
        try:
            while self._events:
                for command in self._turn.receive(self._events[0]):
                    self._perform(command)
                if self._events:
                    self._events.popleft()
        except BaseException:
            if self._events is not None:
                self._events.clear()
            raise

    def account(self) -> str:
        """Sum up what went wrong on the wire, for the log."""
        return (
            f"{self.link.sent} frames sent, {self.link.dropped} dropped,"
            f" {self._ears.corrupt} corrupt, {self._ignored} messages ignored"
        )

    def close(self) -> None:
        """End everything of this session. Idempotent; called when the connection is gone."""
        if self._events is not None:
            self._events = None
            self._drop()
            self._ears.clear(self._clock.seconds())
            self._stop_timers()
            self.link.closed()

    # -- out: the turn's commands --

    def _perform(self, command: e.Command) -> None:
        now = self._clock.seconds()
        match command:
            case e.Keep(packet):
                self._ears.keep(packet, now)
            case e.Feed(packet):
                self._notice(self._ears.feed(packet, now))
            case e.Send(message):
                self.link.send(message)
            case e.Listen(kept):
                self._stop_timers()
                self._notice(self._ears.listen(now, kept))
            case e.Open(_, by_device, resume):
                self._stop_timers()
                language = self._dialogue.language
                self._ears.open(self._staff.recognition, language, now, by_device, resume)
                self._staff.warm()
                self._watch()
            case e.Endpoint(by_device):
                self._ears.endpoint(by_device)
            case e.Wait(number, seconds):
                self._after("wait", seconds, self._waited, number)
            case e.Drop():
                self._drop()
            case e.Clear():
                self._stop_timers()
                self._ears.clear(now)
            case _:
                self._begin(command)

    def _begin(self, command: e.Command) -> None:
        """Begin the work that a turn consists of; what comes of it is posted."""
        match command:
            case e.Transcribe(number):
                self._stop_timers()
                self._start(number, self._transcribe(number))
            case e.Answer(number, text, spoken):
                language = self._dialogue.ask(text, spoken)
                pieces = self._staff.chat.answer(self._dialogue.render(), language)
                self._start(number, self._speak(number, pieces, language))
            case e.Greet(number):
                self._say(number, "greeting")
            case e.Apologise(number):
                self._say(number, "deaf")

    def _drop(self) -> None:
        """End what is done for the turn; remember what the user heard of it."""
        self._stop_timers()
        self._ears.drop()
        work, self._work = self._work, None
        reply, self._reply = self._reply, None
        if work is not None:
            work.cancel()
        if reply is not None:
            text, whole = reply.heard()
            if text:
                self.log.info(
                    "{session}: said {text!r}", session=self.link.session_id, text=text[:200]
                )
                self._dialogue.answer(text, whole)
            else:
                self._dialogue.retract()

    def _start(self, number: int, work: Coroutine[Deferred[Any], Any, e.Event]) -> None:
        done = Deferred.fromCoroutine(work)
        self._work = done.addCallback(self.post).addErrback(self._failed, number)

    def _failed(self, failure: Failure, number: int) -> None:
        """We are wrong: end the turn, so that the next one can begin."""
        if failure.check(CancelledError) is None:
            self.log.failure(
                "{session}: turn {turn} failed", failure, session=self.link.session_id, turn=number
            )
        self.post(e.Failed(number))  # stale if the turn was dropped: that cancels, too

    async def _transcribe(self, number: int) -> e.Event:
        try:
            transcript = await self._ears.finish(self._clock.seconds())
        except ServiceError as error:
            self.log.info(  # the recognisers' failures have been said
                "{session}: nothing recognised: {error}", session=self.link.session_id, error=error
            )
            return e.Deaf(number)
        self.log.info(
            "{session}: heard {text!r}", session=self.link.session_id, text=transcript.text[:200]
        )
        return e.Heard(number, transcript.text, transcript.language)

    def _say(self, number: int, key: Key) -> None:
        """Speak one of the server's own phrases."""
        language = self._dialogue.language

        async def piece() -> AsyncGenerator[str, None]:
            yield phrase(key, language)

        self._start(number, self._speak(number, piece(), language))

    async def _speak(
        self, number: int, pieces: AsyncGenerator[str, None], language: str
    ) -> e.Event:
        frame = self._staff.downlink.frame_duration / 1000
        reply = Reply(number, self.link, self._staff.voice(), frame, language, self._clock)
        self._reply = reply
        await reply.perform(pieces, self.post)
        return e.Finished(number)

    # -- time --

    def _notice(self, edges: Iterator[Speech | Hush]) -> None:
        for edge in edges:
            self.post(edge)
        self._watch()

    def _watch(self) -> None:
        """See to it that an utterance ends even if its sound stops coming."""
        deadline = self._ears.deadline()
        if deadline is not None and "overdue" not in self._timers:
            self._after("overdue", max(0.0, deadline - self._clock.seconds()), self._overdue)

    def _overdue(self) -> None:
        hush = self._ears.overdue(self._clock.seconds())
        if hush is not None:
            self.post(hush)
        self._watch()

    def _waited(self, number: int) -> None:
        self.post(e.Waited(number, self._ears.voiced, self._ears.speaking))

    def _after(self, name: str, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Call once, later; replaces the timer of the same name."""

        def ring() -> None:
            del self._timers[name]
            try:
                call(*args)
            except Exception:
                self.log.failure("{session}: our fault", session=self.link.session_id)
                self.link.close(1011, "internal error")

        if (old := self._timers.pop(name, None)) is not None:
            old.cancel()
        self._timers[name] = self._clock.callLater(seconds, ring)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
