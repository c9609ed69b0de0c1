"""One device's session: does what the turn decides, and decides nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import events as e
from xiaozhi import turn as t
from xiaozhi.answers import Part
from xiaozhi.conversation import Conversation, Talk
from xiaozhi.dialogue import Entry
from xiaozhi.ears import Ears
from xiaozhi.endpointing import Hush, Speech
from xiaozhi.errors import ServiceError
from xiaozhi.link import Link
from xiaozhi.manners import Manners
from xiaozhi.messages import (
    Abort,
    AudioParams,
    Detect,
    Heard,
    ListenStart,
    ListenStop,
    Message,
    Sound,
    Stt,
)
from xiaozhi.phrases import phrase
from xiaozhi.reply import Reply
from xiaozhi.scope import about
from xiaozhi.services.asr import Recognition
from xiaozhi.services.counters import Counters
from xiaozhi.settings import Role
from xiaozhi.tally import Tally
from xiaozhi.timers import Timers
from xiaozhi.voice import Voice


@attrs.frozen
class Staff:
    """The services a session is handed."""

    recognition: Recognition
    talk: Talk
    voice: Callable[[Role | None], Voice]
    """Makes the voice of one answer, in that role or (None) the usual."""
    warm: Callable[[Role | None], None]
    """Gets the engines ready for that role, since they will be needed soon."""
    downlink: AudioParams
    """What is sent, as the welcome declares it."""
    farewell: str = ""
    """What is said to who has not spoken for long; "" for a phrase in their language."""
    subtitles: bool = False
    """Whether badges are sent the words of the user as other devices are."""
    counters: Counters = attrs.field(factory=Counters)
    """What happens is told to these."""


STUTTER = 0.3
"""Seconds within which the same message again is the same message."""


class Session:
    """What is kept of one connection. `receive` takes the device's messages, in order."""

    log = Logger()

    def __init__(
        self,
        link: Link,
        ears: Ears,
        manners: Manners,
        staff: Staff,
        talk: Conversation,
        clock: Any,
    ) -> None:
        """Serve the device behind `link`; the `talk` with it begins."""
        self.link = link
        self._ears = ears
        self._turn = t.Turn(manners)
        self._staff = staff
        self._talk = talk
        self._events: list[e.Event] | None = []
        """What happened and is not dealt with; None once the session is closed."""
        self._work: Deferred[None] | None = None
        """The recognition or the answer under way."""
        self._reply: Reply | None = None
        self._timers = Timers(clock, link)
        self._tally = Tally(staff.counters, self._turn.state)
        self.stirred: float = clock.seconds()
        """When anything last happened but sound in which nobody speaks."""
        self._latest: tuple[Message | None, float] = (None, 0.0)
        """The message before this one, and when it came."""

    @property
    def downlink(self) -> AudioParams:
        """The sound that is sent, as it is declared once and for all."""
        return self._staff.downlink

    def engage(self, staff: Staff) -> None:
        """Be served by `staff` from the next turn on; it must send the same sound."""
        self._staff = staff
        self._talk.engage(staff.talk)

    @property
    def answering(self) -> bool:
        """Whether the user waits for an answer, or hears it."""
        return self._turn.state in ("thinking", "speaking")

    @property
    def state(self) -> t.State:
        """Whose turn it is."""
        return self._turn.state

    @property
    def language(self) -> str:
        """The user's language."""
        return self._talk.usual_language

    # -- in --

    def receive(self, message: Message) -> None:
        """Take a message of the device's that concerns the turn."""
        if isinstance(message, Detect) and self._repeats(message):
            return
        self._latest = message, self._timers.now
        match message:
            case Sound() | ListenStart() | ListenStop() | Abort():
                self.post(message)
            case Detect(text):
                self.post(e.Detected(text, self._ears.follows_sound(self._timers.now)))

    def _repeats(self, message: Message) -> bool:
        """Say whether the device stutters: the same message again, at once."""
        before, when = self._latest
        return message == before and self._timers.now - when < STUTTER

    def post(self, event: e.Event) -> None:
        """Let the turn decide on `event`; what comes of it meanwhile waits its turn."""
        if self._events is None:
            return
        if not isinstance(event, Sound | e.Lapsed):
            self.stirred = self._timers.now
        self._events.append(event)
        if len(self._events) > 1:
            return  # a call further down the stack is at it
        try:
            with about(self.link.scope):
                while self._events:
                    for command in self._turn.receive(self._events[0]):
                        self._perform(command)
                    if self._events:
                        del self._events[0]
                        self._tally.moved(self._turn.state)
        except BaseException:
            if self._events is not None:
                self._events.clear()
            raise

    def account(self) -> str:
        """Sum up what went wrong on the wire, for the log."""
        return (
            f"{self.link.sent} frames sent, {self.link.dropped} dropped,"
            f" {self._ears.corrupt} corrupt"
        )

    def said(self) -> list[Entry]:
        """Give what was said, the user first; of an answer under way, what was heard of it."""
        return self._talk.said()

    def begin_as(self, role: str) -> None:
        """Begin in the `role` the user asked for when the device was here before, if any."""
        self._talk.begin_as(role)

    def forget(self, seconds: float | None, about: str = "") -> None:
        """Drop what was said in the last `seconds`, or (None) ever; or only `about` something."""
        self._talk.forget(seconds, about)

    def close(self) -> None:
        """End everything of this session. Idempotent; called when the connection is gone."""
        if self._events is not None:
            self._events = None
            self._tally.moved(None)
            with about(self.link.scope):  # a stop of the server brings this, too
                self._drop(closing=True)
            self._ears.clear(self._timers.now)
            self._talk.close()
            self.link.closed()

    # -- out: the turn's commands --

    def _perform(self, command: e.Command) -> None:
        now = self._timers.now
        match command:
            case e.Keep(packet):
                self._ears.keep(packet, now)
            case e.Feed(packet):
                self._notice(self._ears.feed(packet, now))
            case e.Send(Stt()) if self.link.badge and not self._staff.subtitles:
                pass  # it would speak them
            case e.Send(message):
                self.link.send(message)
            case e.Listen(kept):
                self._timers.stop()
                self._notice(self._ears.listen(now, kept))
            case e.Open(_, by_device, resume):
                self._timers.stop()
                language = self._talk.usual_language
                self._ears.open(self._staff.recognition, language, now, by_device, resume)
                self._staff.warm(self._talk.role)
                self._notice(iter(()))
            case e.Wait(number, seconds):
                self._timers.after("wait", seconds, self._waited, number)
            case e.Drop():
                self._drop()
            case e.Clear():
                self._timers.stop()
                self._ears.clear(now)
            case _:
                self._begin(command)

    def _begin(self, command: e.Command) -> None:
        """Begin the work that a turn consists of; what comes of it is posted."""
        match command:
            case e.Endpoint(by_device):
                self._ears.endpoint(by_device)
            case e.Transcribe(number):
                self._timers.stop()
                self._tally.utterance_over(self._timers.now)
                self._start(number, self._transcribe(number))
            case e.Answer(number, text, spoken):
                self._tally.answering()
                self._start(number, self._speak(number, *self._talk.answer(text, spoken)))
            case _:
                self._unasked(command)

    def _unasked(self, command: e.Command) -> None:
        """Say what nobody asked for, and be done with it. Or with all."""
        match command:
            case e.Greet(number):
                self._say(number, phrase("greeting", self.language))
            case e.Apologise(number):
                self._say(number, phrase("deaf", self.language))
            case e.Part(number):
                self._say(number, self._staff.farewell or phrase("farewell", self.language))
            case e.Announce(number, due):
                self._say(number, due.text, due.language)
            case e.Told(due, spoken):
                due.told(spoken)
            case e.Answered(due):
                due.answered()
            case e.Leave():
                self.link.close(1000, "nobody speaks")

    def _drop(self, closing: bool = False) -> None:
        """End what is done for the turn; remember what the user heard of it.

        A question of which nothing was heard is one that is still being asked, until the session
        closes.
        """
        self._timers.stop()
        self._ears.drop()
        work, self._work = self._work, None
        reply, self._reply = self._reply, None
        if work is not None:
            work.cancel()
        self._tally.over(None if reply is None else reply.sounded)
        if reply is not None:
            text, whole = reply.heard()
            if text:
                self.log.info("said {speech!r}", speech=text)
                self._talk.heard(text, whole)
            elif not closing:
                self._talk.retract()

    def _start(self, number: int, work: Coroutine[Deferred[Any], Any, e.Event]) -> None:
        done = Deferred.fromCoroutine(work)
        self._work = done.addCallback(self.post).addErrback(self._failed, number)

    def _failed(self, failure: Failure, number: int) -> None:
        """We are wrong: end the turn, so that the next one can begin."""
        if failure.check(CancelledError) is None:
            self._tally.failed()
            with about(self.link.scope):
                self.log.failure("turn {turn} failed", failure, turn=number)
        self.post(e.Failed(number))  # stale if the turn was dropped: that cancels, too

    async def _transcribe(self, number: int) -> e.Event:
        try:
            transcript = await self._ears.finish(self._timers.now)
        except ServiceError as error:
            # The recognisers' failures have been said.
            self.log.info("nothing recognised: {error}", error=error)
            return e.Deaf(number)
        self.log.info("heard {speech!r}", speech=transcript.text)
        if self.link.badge and transcript.text:
            now = self._staff.talk.chat.now().timestamp()
            self.link.send(Heard.at(now, transcript.text))
        return e.Heard(number, transcript.text, transcript.language)

    def _say(self, number: int, text: str, language: str = "") -> None:
        """Speak something of the server's own, in the user's language or another."""

        async def piece() -> AsyncGenerator[Part, None]:
            yield text

        self._start(number, self._speak(number, piece(), language or self.language))

    async def _speak(
        self, number: int, parts: AsyncGenerator[Part, None], language: str
    ) -> e.Event:
        frame = self._staff.downlink.frame_duration / 1000
        reply = Reply(
            number,
            self.link,
            self._staff.voice(self._talk.role),
            frame,
            language,
            self._timers.clock,
        )
        self._reply = reply
        await reply.perform(parts, self.post, self._talk.free)
        return e.Finished(number, leave=self._talk.parting)

    # -- time --

    def _notice(self, edges: Iterator[Speech | Hush]) -> None:
        for edge in edges:
            self.post(edge)
        if self._ears.behind:
            self._timers.after("behind", 0.0, self._catch_up)
        self._watch()

    def _catch_up(self) -> None:
        """Hear the rest of sound that came all at once, when others had their turn."""
        self._notice(self._ears.go_on(self._timers.now))

    def _watch(self) -> None:
        """See to it that an utterance ends even if its sound stops coming."""
        deadline = self._ears.deadline()
        if deadline is not None and "overdue" not in self._timers:
            self._timers.after("overdue", max(0.0, deadline - self._timers.now), self._overdue)

    def _overdue(self) -> None:
        hush = self._ears.overdue(self._timers.now)
        if hush is not None:
            self.post(hush)
        self._watch()

    def _waited(self, number: int) -> None:
        self.post(e.Waited(number, self._ears.voiced, self._ears.speaking))
