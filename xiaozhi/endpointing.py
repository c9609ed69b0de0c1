"""Endpointing: from speech probabilities to "speech began" and "speech ended".

Silence is counted on the audio clock (the length of the sound that came), so that a network
which stalls and catches up does not look like a pause. The wall clock has one say: when no
sound comes any more, an utterance must end all the same.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Speech:
    """Somebody began to speak."""


@attrs.frozen
class Pause:
    """The utterance may be complete: nothing was said for a while."""


@attrs.frozen
class Resume:
    """It was not complete: the pause is over."""


@attrs.frozen
class Hush:
    """The utterance is complete."""

    cut: bool = False
    """Whether it was only cut off, because it was too long."""


Edge = Speech | Pause | Resume | Hush


@attrs.frozen
class Limits:
    """When speech begins and ends. All in seconds."""

    silence: float = 1.0
    """So long without voice, and the utterance is over."""
    pause: float = 0.5
    """So long without voice, and it may be over; 0 to never think so."""
    fallback: float = 3.0
    """So long (wall clock) after the last voiced sound, and it is over anyway."""
    manual_fallback: float = 5.0
    """The same while a button decides, counted from the last sound of any kind."""
    longest: float = 60.0
    """No utterance is longer."""
    onset: float = 0.16
    """So much voice within `window` begins speech..."""
    window: float = 0.24
    """...so that a click or a door does not."""
    threshold: float = 0.5
    """Probability from which a piece of sound counts as voice."""


class Endpointer:
    """Find where utterances begin and end in one session's sound.

    `push` every piece of sound, in order, with its length and its probability; ask `overdue`
    when `deadline` has come.
    """

    def __init__(self, limits: Limits) -> None:
        """Start armed, endpointing by voice."""
        self._limits = limits
        self._recent: list[tuple[float, bool]] = []
        self.arm(0.0)

    def arm(self, now: float, by_device: bool = False) -> None:
        """Wait for speech to begin. `by_device`: a button ends the utterance, not silence."""
        self.by_device = by_device
        self.speaking = False
        self.voiced = 0.0
        """Seconds of voice since armed."""
        self._recent.clear()
        self._length = 0.0
        self._quiet = 0.0
        self._pausing = False
        self._sound_at = self._voice_at = now

    def begin(self, now: float, length: float = 0.0) -> None:
        """Take it that an utterance is under way, and `length` seconds of it were heard."""
        self.speaking = True
        self._pausing = False  # who takes it up now has been told of no pause yet
        self._length = length
        self._sound_at = self._voice_at = now

    def push(self, probability: float, length: float, now: float) -> Edge | None:
        """Hear `length` seconds of sound that are speech with `probability`."""
        self._sound_at = now
        self._recent.append((length, probability >= self._limits.threshold))
        while sum(piece for piece, _ in self._recent) > self._limits.window + 1e-6:
            del self._recent[0]
        if self._recent[-1][1]:
            self.voiced += length
        if not self.speaking:
            return self._await_speech(now)
        return self._await_silence(length, now)

    def _await_speech(self, now: float) -> Speech | None:
        if self._voice_in(self._limits.window) < self._limits.onset - 1e-6:
            return None
        self.begin(now)
        self._quiet = 0.0
        return Speech()

    def _await_silence(self, length: float, now: float) -> Edge | None:
        limits = self._limits
        self._length += length
        self._quiet += length
        # One voiced piece alone is a click; most of a tenth of a second is a voice.
        if self._recent[-1][1] and self._voice_in(0.1) >= 0.05:
            self._quiet = 0.0
            self._voice_at = now
        if self._quiet >= limits.silence - 1e-6 and not self.by_device:
            return self._end()
        if self._length >= limits.longest - 1e-6:
            return self._end(cut=True)
        # A button says itself when it is over.
        pausing = self._quiet >= limits.pause - 1e-6 and limits.pause > 0 and not self.by_device
        if pausing != self._pausing:
            self._pausing = pausing
            return Pause() if pausing else Resume()
        return None

    def deadline(self) -> float | None:
        """Tell when to ask `overdue`; None while nothing is under way."""
        if not self.speaking:
            return None
        if self.by_device:
            return self._sound_at + self._limits.manual_fallback
        # Never before the silence window, should that have been set longer.
        return self._voice_at + max(self._limits.fallback, self._limits.silence + 0.5)

    def overdue(self, now: float) -> Hush | None:
        """End the utterance if its sound stopped coming."""
        when = self.deadline()
        return self._end() if when is not None and now >= when - 1e-6 else None

    def _end(self, cut: bool = False) -> Hush:
        self.speaking = False
        self._recent.clear()
        self._quiet = 0.0
        self._pausing = False
        return Hush(cut)

    def _voice_in(self, window: float) -> float:
        """Sum up the voice in the last `window` seconds."""
        voice = 0.0
        for length, voiced in reversed(self._recent):
            if window < 1e-6:
                break
            window -= length
            voice += length if voiced else 0.0
        return voice
