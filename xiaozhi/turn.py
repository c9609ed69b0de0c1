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

from collections.abc import Collection, Iterator
from typing import Literal

import attrs

from xiaozhi.endpointing import Hush, Speech
from xiaozhi.wakewords import cut, same
from xiaozhi.wire import (
    TTS_START,
    TTS_STOP,
    Abort,
    Down,
    ListenStart,
    ListenStop,
    Mode,
    Sound,
    Stt,
)

State = Literal["idle", "waking", "listening", "hearing", "tail", "thinking", "speaking"]


# -- events: what is learned. Those of the device and of endpointing come from their modules --


@attrs.frozen
class Detected:
    """The device names its wake word, or a text that was typed."""

    text: str
    follows_sound: bool = False
    """Whether sound came just before while idle: then it is the wake word's."""


@attrs.frozen
class Waited:
    """The time asked for by `Wait` is over; `voiced` seconds of voice came meanwhile."""

    turn: int
    voiced: float = 0.0


@attrs.frozen
class Heard:
    """The utterance was recognised; `text` is empty if nothing was said."""

    turn: int
    text: str


@attrs.frozen
class Deaf:
    """No recogniser could do it."""

    turn: int


@attrs.frozen
class Speaks:
    """The answer has its first sentence."""

    turn: int


@attrs.frozen
class Finished:
    """The device has played the answer; or there was nothing to say."""

    turn: int


@attrs.frozen
class Failed:
    """The answer broke off by a fault of ours."""

    turn: int


Event = (
    Sound
    | ListenStart
    | ListenStop
    | Detected
    | Abort
    | Speech
    | Hush
    | Waited
    | Heard
    | Deaf
    | Speaks
    | Finished
    | Failed
)


# -- commands: what is to be done --


@attrs.frozen
class Keep:
    """Remember this packet for two seconds, in case it begins an utterance."""

    packet: bytes


@attrs.frozen
class Feed:
    """Listen to this packet: detect speech in it, and hand it to the open recogniser."""

    packet: bytes


@attrs.frozen
class Listen:
    """Wait for speech from now on. `kept`: hear what was kept while idle first."""

    kept: bool = False


@attrs.frozen
class Open:
    """Begin to recognise an utterance, with what was kept of its beginning.

    `by_device`: a button ends it. `resume`: it goes on where the last one seemed to end.
    """

    turn: int
    by_device: bool = False
    resume: bool = False


@attrs.frozen
class Endpoint:
    """Let the button (`by_device`) or the silence end the utterance under way."""

    by_device: bool


@attrs.frozen
class Transcribe:
    """The utterance is complete: get its text."""

    turn: int


@attrs.frozen
class Answer:
    """Answer what the user said."""

    turn: int
    text: str


@attrs.frozen
class Greet:
    """Answer the wake word alone."""

    turn: int


@attrs.frozen
class Apologise:
    """Say that nothing could be understood, since no recogniser works."""

    turn: int


@attrs.frozen
class Drop:
    """End everything done for this turn: recogniser, model, speech, frames, timer."""

    turn: int


@attrs.frozen
class Send:
    """Tell the device."""

    message: Down


@attrs.frozen
class Wait:
    """Come back with `Waited` after so many seconds; replaces an earlier wait."""

    turn: int
    seconds: float


@attrs.frozen
class Clear:
    """Forget all sound."""


Command = (
    Keep
    | Feed
    | Listen
    | Open
    | Endpoint
    | Transcribe
    | Answer
    | Greet
    | Apologise
    | Drop
    | Send
    | Wait
    | Clear
)


@attrs.frozen
class Manners:
    """How turns are taken. Times are in seconds."""

    wakeup_words: Collection[str] = ()
    greets: bool = True
    """Whether a wake word alone is answered with a greeting."""
    tail: float = 0.15
    """So long after the button's release the microphone's last frames are waited for."""
    guard: float = 1.0
    """So long after a wake word its own sound is not taken for an utterance..."""
    guard_voice: float = 0.3
    """...unless there is more voice in that time than the end of a word."""


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
            case Hush():
                yield from self._hush()
            case Waited(voiced=voiced):
                yield from self._waited(voiced)
            case _:
                yield from self._result(event)

    def _sound(self, packet: bytes) -> Iterator[Command]:
        """Ears are open while the user may speak; in manual mode the button opens them."""
        match self.state:
            case "idle":
                yield Keep(packet)
            case "waking" | "listening" | "hearing" | "tail":
                yield Feed(packet)
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
                yield Wait(self.number, self._manners.tail)
            case "waking" | "listening":
                yield from self._drop()
                yield from self._idle()

    def _detect(self, text: str, follows_sound: bool) -> Iterator[Command]:
        wake = follows_sound and self.state == "idle"
        if not (wake or same(text, self._manners.wakeup_words)):
            yield from self._typed(text)
        elif self.state in ("hearing", "tail"):
            self._woken_by = text  # it is being heard already; it will be cut off the text
        elif self.state != "waking":
            yield from self._drop()
            self.state = "waking"
            self._woken_by = text
            yield Listen()
            yield Wait(self.number, self._manners.guard)

    def _typed(self, text: str) -> Iterator[Command]:
        if text.strip():
            yield from self._drop()
            self._spoken = False
            self.state = "thinking"
            yield Send(Stt(text))
            yield Answer(self.number, text)

    def _abort(self) -> Iterator[Command]:
        speaking = self.state == "speaking"
        yield from self._drop()
        if not speaking:  # else `_drop` has said so
            yield Send(TTS_STOP)
        if self.state != "idle":
            yield from self._rest()

    def _speech(self) -> Iterator[Command]:
        match self.state:
            case "listening":
                yield from self._hear()
            case "thinking" if self._spoken and self.mode != "manual":
                # The pause was not the end: the user goes on before anything was answered.
                yield from self._drop()
                yield from self._hear(resume=True)
            case "speaking" if self.mode == "realtime":
                yield from self._drop()
                yield from self._hear()

    def _hush(self) -> Iterator[Command]:
        if self.state == "hearing":
            yield from self._transcribe()

    def _waited(self, voiced: float) -> Iterator[Command]:
        if self.state == "tail":
            yield from self._transcribe()
        elif self.state == "waking":
            if voiced >= self._manners.guard_voice:
                yield from self._drop()
                yield from self._hear(woken_by=self._woken_by)
            elif self._manners.greets:
                self._spoken = False
                self.state = "thinking"
                yield Greet(self.number)
            else:
                yield from self._over()

    def _result(self, event: Event) -> Iterator[Command]:
        match self.state, event:
            case "thinking", Heard(text=text):
                if self._woken_by:
                    text = cut(text, [*self._manners.wakeup_words, self._woken_by])
                if text.strip():
                    yield Send(Stt(text))
                    yield Answer(self.number, text)
                else:
                    yield from self._over()
            case "thinking", Deaf():
                yield Apologise(self.number)
            case "thinking", Speaks():
                self.state = "speaking"
                yield Send(TTS_START)
            case "thinking" | "speaking", Finished() | Failed():
                yield from self._over()

    def _hear(
        self, *, by_device: bool = False, resume: bool = False, woken_by: str = ""
    ) -> Iterator[Command]:
        self.number += 1
        self.state = "hearing"
        self._spoken = True
        self._woken_by = self._woken_by if resume else woken_by
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
            yield Send(TTS_STOP)
            self.state = "thinking"

    def _over(self) -> Iterator[Command]:
        yield from self._drop()
        yield from self._rest()

    def _rest(self) -> Iterator[Command]:
        """Go back to where the device is after a turn: idle if a button begins the next."""
        if self.mode == "manual":
            yield from self._idle()
        else:
            self.state = "listening"
            yield Listen()

    def _idle(self) -> Iterator[Command]:
        self.state = "idle"
        yield Clear()
