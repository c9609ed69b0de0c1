"""Whose turn it is: an event in, commands out; the only place where that changes.

The turn decides and does nothing. `session.py` performs the commands and brings back what
came of them as further events. Every result carries the number of the turn it belongs to;
`receive` drops a stale one first, and that one check stands in for every "was it aborted?".

========= ====================================================================================
state     meaning
========= ====================================================================================
idle      the device does not listen; what it sends is kept for two seconds, no first word lost
waking    a wake word was heard; does the user speak straight on?
listening waiting for the user to speak
hearing   the user speaks
tail      the button was released; the last frames of the microphone are still on their way
thinking  the utterance is recognised and answered; nothing was said yet
speaking  from `tts start` until the device has played the last frame
========= ====================================================================================

ARCHITECTURE.md has the table of every state and event; a test compares it with this code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from xiaozhi.endpointing import Hush, Speech
from xiaozhi.events import (
    Announce,
    Answer,
    Answered,
    Apologise,
    Clear,
    Command,
    Deaf,
    Detected,
    Drop,
    Due,
    Endpoint,
    Event,
    Failed,
    Farewell,
    Feed,
    Finished,
    Greet,
    Heard,
    Keep,
    Lapsed,
    Leave,
    Listen,
    Open,
    Part,
    Plays,
    Send,
    Speaks,
    Told,
    Transcribe,
    Wait,
    Waited,
)
from xiaozhi.manners import Manners
from xiaozhi.messages import (
    CANCEL_TONE,
    TTS_START,
    TTS_STOP,
    Abort,
    Alert,
    ListenStart,
    ListenStop,
    Mode,
    Sound,
    Stt,
)
from xiaozhi.wakewords import cut, same

State = Literal["idle", "waking", "listening", "hearing", "tail", "thinking", "speaking"]


LATE = 15
"""Packets after the button's release that are waited for one by one."""


@attrs.define
class _Notices:
    """What is to be announced, the first of it perhaps being announced, and what was."""

    due: list[Due] = attrs.field(factory=list)
    rang: Due | None = None
    """What was announced last, until the user says or presses anything."""

    def heeded(self) -> Iterator[Command]:
        """Say that what rang was noticed: it need not ring again."""
        if self.rang is not None:
            yield from [Told(due, spoken=False) for due in self.due if due.again]
            self.due = [due for due in self.due if not due.again]
            yield Answered(self.rang)
            self.rang = None


class Turn:
    """Whose turn it is in one session."""

    def __init__(self, manners: Manners) -> None:
        """Begin idle."""
        self.state: State = "idle"
        self.number = 0
        self.mode: Mode = "auto"
        self._manners = manners
        self._spoken = False
        """Whether the turn's question was spoken, not typed."""
        self._woken_by = ""
        """The wake word its sound begins with, if it does."""
        self._kind: Literal["answer", "courtesy", "announcement", "music"] = "answer"
        """What the turn is to the user. Courtesies and announcements, for which nobody asked,
        give way to speech, and music to announcements."""
        self._parting = False
        """Whether the connection ends with the turn."""
        self._late = 0
        """Packets that came after the button's release."""
        self._notices = _Notices()

    def receive(self, event: Event) -> Iterator[Command]:
        """Yield the commands `event` calls for, in order."""
        if getattr(event, "turn", self.number) != self.number:
            return  # an answer to a question nobody asks any more
        match event:
            case Sound(packet):
                yield from self._sound(packet)
            case ListenStart(mode):
                yield from self._start(mode)
            case ListenStop():
                yield from self._stop()
            case Detected(text, follows_sound):
                yield from self._detect(text, follows_sound)
            case Abort():
                yield from self._abort()
            case Speech():
                yield from self._speech()
            case Hush(cut):
                yield from self._hush(cut)
            case Waited():
                yield from self._waited(event)
            case _:
                yield from self._result(event)

    def _sound(self, packet: bytes) -> Iterator[Command]:
        """Ears are open while the user may speak; in manual mode the button opens them."""
        match self.state:
            case "idle":
                yield Keep(packet)
            case "waking" | "listening" | "hearing":
                yield Feed(packet)
            case "tail":
                yield Feed(packet)
                self._late += 1
                if self._late <= LATE:  # while they come, more may be on their way
                    yield Wait(self.number, self._manners.tail)
            case "thinking" if self.mode != "manual":
                yield Feed(packet)
            case "speaking" if self.mode == "realtime":
                yield Feed(packet)

    def _start(self, mode: Mode | None) -> Iterator[Command]:
        self.mode = mode or self.mode
        match self.state:
            case "idle" | "listening" if self.mode == "manual":
                yield from self._hear(by_device=True)
            case "idle":
                self.state = "listening"
                yield Listen(kept=True)
            case "hearing" | "tail":
                self.state = "hearing"  # if the button bounced, the same utterance goes on
                yield Endpoint(self.mode == "manual")
            case "waking" | "thinking" | "speaking" if self.mode == "manual":
                yield from self._drop()
                yield from self._hear(by_device=True)

    def _stop(self) -> Iterator[Command]:
        match self.state:
            case "hearing":
                self.state = "tail"
                self._late = 0
                yield Wait(self.number, self._manners.tail)
            case "waking" | "listening":
                yield from self._drop()
                yield from self._idle()
                yield from self._announce()

    def _detect(self, text: str, follows_sound: bool) -> Iterator[Command]:
        wake = follows_sound and self.state == "idle"
        if self.state == "waking" and text == self._woken_by:
            return  # said twice
        if not (wake or same(text, self._manners.wakeup_words)):
            yield from self._typed(text)
        elif self.state in ("hearing", "tail"):
            self._woken_by = text  # it is being heard already; it will be cut off the text
        elif self.state != "waking":
            yield from self._drop()
            yield from self._notices.heeded()
            self.state = "waking"
            self._woken_by = text
            yield Listen()
            yield Wait(self.number, self._manners.guard)

    def _typed(self, text: str) -> Iterator[Command]:
        if text.strip():
            yield from self._drop()
            yield from self._notices.heeded()
            self._spoken = False
            self.state = "thinking"
            yield Send(Stt(text))
            yield Answer(self.number, text)

    def _abort(self) -> Iterator[Command]:
        speaking = self.state == "speaking"
        yield from self._announced()
        yield from self._drop()
        yield from self._notices.heeded()
        if not speaking:  # else `_drop` has said so
            yield Send(TTS_STOP)
        if self.state != "idle":
            yield from self._rest()

    def _speech(self) -> Iterator[Command]:
        match self.state:
            case "listening":
                yield from self._hear()
            case "thinking" if self._kind != "answer":
                # The user was only slow to begin: the wake word needs no answer any more.
                yield from self._drop()
                yield from self._hear(woken_by=self._woken_by)
            case "thinking" if self._spoken and self.mode != "manual":
                # The pause was not the end: the user goes on before anything was answered.
                yield from self._drop()
                yield from self._hear(resume=True)
            case "speaking" if self.mode == "realtime":
                yield from self._drop()
                yield from self._hear()

    def _hush(self, cut: bool) -> Iterator[Command]:
        if self.state in ("hearing", "tail"):
            # One that was cut off is answered as it is: it would only be cut off again.
            self._spoken = self._spoken and not cut
            yield from self._transcribe()

    def _waited(self, waited: Waited) -> Iterator[Command]:
        if self.state == "tail":
            yield from self._transcribe()
        elif self.state == "waking":
            if waited.voiced >= self._manners.guard_voice:
                yield from self._drop()
                yield from self._hear(woken_by=self._woken_by)
            elif waited.speaking:
                yield Wait(self.number, self._manners.guard_voice)
            elif self._manners.greets:
                self._spoken, self._kind = False, "courtesy"
                self.state = "thinking"
                yield Greet(self.number)
            else:
                yield from self._over()

    def _farewell(self) -> Iterator[Command]:
        if self._manners.farewell:
            self._spoken, self._kind, self._parting = False, "courtesy", True
            self._woken_by = ""
            self.state = "thinking"
            yield Part(self.number)
        else:
            yield Leave()

    def _hand(self, due: Due) -> Iterator[Command]:
        """Take what is due, and announce it at once if nobody is at it."""
        self._notices.due.append(due)
        if self._kind == "music":
            yield from self._interrupt()
        elif self.state in ("idle", "listening"):
            yield from self._announce()

    def _interrupt(self) -> Iterator[Command]:
        """Let music give way to what is due."""
        if self._notices.due:
            yield from self._drop()
            yield from self._announce()

    def _announce(self) -> Iterator[Command]:
        """Announce what has waited longest."""
        if self._notices.due:
            due = self._notices.rang = self._notices.due[0]
            self._spoken, self._kind = False, "announcement"
            self._woken_by = ""
            self.state = "thinking"
            yield Send(Alert(due.title, due.text, "neutral"))
            yield Announce(self.number, due)

    def _announced(self) -> Iterator[Command]:
        """Be done with what is being announced: it was heard, or somebody would not hear it."""
        if self._kind == "announcement":
            self._kind = "answer"
            yield Told(self._notices.due.pop(0))

    def _result(self, event: Event) -> Iterator[Command]:
        match self.state, event:
            case "thinking", Heard(_, text, language):
                if self._woken_by:
                    text = cut(text, [*self._manners.wakeup_words, self._woken_by])
                if text.strip():
                    yield Send(Stt(text))
                    yield Answer(self.number, text, language)
                else:
                    yield from self._over()
            case "thinking", Deaf():
                yield Apologise(self.number)
            case "thinking", Speaks():
                self.state = "speaking"
                yield Send(TTS_START)
                if self.mode == "realtime":
                    yield Listen()  # for a voice that interrupts
            case "thinking" | "speaking", Finished() | Failed():
                self._parting = self._parting or getattr(event, "leave", False)
                yield from self._over()
            case _:
                yield from self._unasked(event)

    def _unasked(self, event: Event) -> Iterator[Command]:
        """Deal with what comes from nobody, but of itself."""
        match self.state, event:
            case _, Due():
                yield from self._hand(event)
            case "speaking", Plays():
                self._kind = "music"
                yield from self._interrupt()
            case "idle" | "listening", Farewell():
                yield from self._farewell()
            case "listening", Lapsed():
                yield Send(CANCEL_TONE)
                yield from self._idle()

    def _hear(
        self, *, by_device: bool = False, resume: bool = False, woken_by: str = ""
    ) -> Iterator[Command]:
        self.number += 1
        self.state = "hearing"
        self._spoken = True
        self._woken_by = self._woken_by if resume else woken_by
        yield from self._notices.heeded()
        yield Open(self.number, by_device, resume)

    def _transcribe(self) -> Iterator[Command]:
        self.state = "thinking"
        yield Transcribe(self.number)

    def _drop(self) -> Iterator[Command]:
        """End what is under way, if anything is, so that no result of it counts."""
        if self.state not in ("idle", "listening"):
            yield Drop(self.number)
        self.number += 1
        if self.state == "speaking":
            yield from self._announced()
        # What was not heard at all is announced again, when nobody is at it.
        self._kind, self._parting = "answer", False
        if self.state == "speaking":
            yield Send(TTS_STOP)
            self.state = "thinking"

    def _over(self) -> Iterator[Command]:
        parting = self._parting
        yield from self._announced()
        yield from self._drop()
        if parting:
            yield from self._still()
            yield Leave()
        else:
            yield from self._rest()

    def _rest(self) -> Iterator[Command]:
        """Go back to where the device is after a turn; announce what had to wait for its end."""
        yield from self._still()
        yield from self._announce()

    def _still(self) -> Iterator[Command]:
        """Be where the device is after a turn: idle if a button begins the next."""
        if self.mode == "manual":
            yield from self._idle()
        else:
            self.state = "listening"
            yield Listen()

    def _idle(self) -> Iterator[Command]:
        self.state = "idle"
        yield Clear()
