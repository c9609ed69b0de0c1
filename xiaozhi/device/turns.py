"""What happened in a talk, put together turn by turn from the device's events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from xiaozhi.device.playback import Frame

STALL: Final = 0.005
"""A silence, in seconds, that can be heard in the middle of an answer."""


@attrs.frozen
class Event:
    """Something happened to the device, `at` this second of its clock."""

    at: float
    name: str
    details: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Turn:
    """One exchange: what was said to the server, and how it answered. Times are in seconds."""

    began_at: float
    asked: bool = True
    """False if the server spoke by itself."""
    speech_ended_at: float | None = None
    """When the last frame of speech, or the typed text, was sent."""
    heard: str = ""
    heard_at: float | None = None
    emotion: str = ""
    sentences: list[str] = attrs.field(factory=list)
    answered_at: float | None = None
    first_audio_at: float | None = None
    frames: list[Frame] = attrs.field(factory=list, repr=False)
    pcm: bytearray = attrs.field(factory=bytearray, repr=False)
    rate: int = 24000
    lost: int = 0
    """Frames that came and were never played: the queue was full, or cleared."""
    interrupted: bool = False
    ended_at: float | None = None
    """None as long as it lasts, and for ever if the connection was lost."""

    @property
    def answer(self) -> str:
        """The whole answer as it was shown."""
        return "".join(self.sentences)

    @property
    def delay(self) -> float | None:
        """How long it took from the end of speech to the first sound of the answer."""
        if self.speech_ended_at is None or self.first_audio_at is None:
            return None
        return self.first_audio_at - self.speech_ended_at

    @property
    def stalls(self) -> list[float]:
        """The silences in the answer that came from the queue running empty."""
        return [frame.gap for frame in self.frames if frame.gap > STALL]

    @property
    def seconds(self) -> float:
        """How long the answer sounded."""
        return sum(frame.ms for frame in self.frames) / 1000

    @property
    def whole(self) -> bool:
        """Whether it was a whole turn: answered with sound to its end."""
        return self.ended_at is not None and bool(self.frames) and not self.interrupted

    @property
    def missing(self) -> str:
        """What the turn still waits for."""
        if self.answered_at is not None:
            return "tts stop"
        return "tts start" if self.heard else "what was heard"

    def summary(self) -> dict[str, Any]:
        """Tell the turn in values that JSON can carry."""
        return {
            "heard": self.heard,
            "answer": self.answer,
            "sentences": list(self.sentences),
            "emotion": self.emotion,
            "delay": self.delay,
            "seconds": self.seconds,
            "frames": len(self.frames),
            "stalls": self.stalls,
            "lost": self.lost,
            "interrupted": self.interrupted,
        }


class Recorder:
    """Sort the events of a talk into turns."""

    def __init__(self) -> None:
        """Begin with no turn at all."""
        self.unasked: list[Turn] = []
        """Turns the server began by itself and nobody has fetched, the latest eight."""
        self._asked: Turn | None = None
        self._speaking: Turn | None = None
        self._overheard: tuple[str, float] | None = None

    def begin(self, now: float) -> Turn:
        """Begin a turn the user asks for; an answer still sounding belongs to the one before."""
        if self._asked is not None and self._asked is not self._speaking:
            self._end(self._asked, now, interrupted=True)
        self._asked = Turn(now)
        return self._asked

    def played(self, frame: Frame, pcm: bytes) -> None:
        """Add one frame of the answer."""
        if self._speaking is not None:
            self._speaking.frames.append(frame)
            self._speaking.pcm += pcm

    def arrived(self, now: float, rate: int) -> None:
        """Note that a frame of the answer has come."""
        if self._speaking is not None and self._speaking.first_audio_at is None:
            self._speaking.first_audio_at = now
            self._speaking.rate = rate

    def lost(self, frames: int) -> None:
        """Note that frames of the answer are lost."""
        if self._speaking is not None:
            self._speaking.lost += frames

    def spoken(self, now: float) -> None:
        """Note that the user has said all."""
        if self._asked is not None:
            self._asked.speech_ended_at = now

    def stt(self, text: str, now: float) -> None:
        """Note what the server has heard."""
        if self._asked is not None and self._asked.ended_at is None:
            self._asked.heard, self._asked.heard_at = text, now
        else:
            self._overheard = text, now

    def emotion(self, name: str) -> None:
        """Note the face the server wants."""
        turn = self._speaking or self._asked
        if turn is not None:
            turn.emotion = name

    def sentence(self, text: str) -> None:
        """Note a sentence of the answer."""
        if self._speaking is not None:
            self._speaking.sentences.append(text)

    def tts_start(self, now: float) -> None:
        """Begin the answer: to what was asked last, or of the server's own accord."""
        if self._speaking is not None:
            self._end(self._speaking, now, interrupted=True)
        if self._asked is None or self._asked.ended_at is not None:
            self._speaking = Turn(now, asked=False)
            if self._overheard is not None:
                self._speaking.heard, self._speaking.heard_at = self._overheard
                self._overheard = None
        else:
            self._speaking = self._asked
        self._speaking.answered_at = now

    def aborted(self) -> None:
        """Note that the user has cut the answer off."""
        if self._speaking is not None:
            self._speaking.interrupted = True

    def silent(self, now: float) -> Turn | None:
        """End the answer, for its last frame has sounded; return its turn, if there is one."""
        turn, self._speaking = self._speaking, None
        if turn is not None:
            self._end(turn, now, interrupted=turn.asked and turn is not self._asked)
        return turn

    def hung_up(self) -> None:
        """Leave every turn as it is: the connection is gone, and none will end any more."""
        self._speaking = self._asked = None

    def _end(self, turn: Turn, now: float, *, interrupted: bool) -> None:
        if turn.ended_at is None:
            turn.ended_at = now
            turn.interrupted = turn.interrupted or interrupted
            if not turn.asked:
                self.unasked = [*self.unasked[-7:], turn]
