"""One utterance as it is heard: its sound, and its text on the way.

A recogniser needs some tenths of a second for its text, and the silence that ends an utterance
lasts a second. So the recognition begins in the first half of that silence: when the utterance is
over, its text is there. If the user goes on, that one was in vain, and another recognition is
given all that was said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from twisted.internet.defer import Deferred

from xiaozhi.audio import SAMPLE_BYTES
from xiaozhi.services.asr import RATE, Recognition, Transcript, Utterance

BYTES_PER_SECOND: Final = RATE * SAMPLE_BYTES
GUESSES: Final = 3
"""Recognitions of one utterance that may be in vain."""


class Recording:
    """The sound of one utterance, and who recognises it."""

    def __init__(
        self, recognition: Recognition, language: str, sound: Iterable[bytes], longest: float
    ) -> None:
        """Begin with the `sound` there is (the last `longest` seconds of it); hear the rest."""
        self.sound = deque(sound)
        self.length = sum(map(len, self.sound)) / BYTES_PER_SECOND
        """Seconds of sound at the beginning."""
        while self.length > longest:
            self.length -= len(self.sound.popleft()) / BYTES_PER_SECOND
        self._recognition = recognition
        self._language = language
        self._guesses = 0
        self._early: Deferred[Transcript] | None = None
        self._utterance: Utterance | None = None
        self._open()

    @property
    def live(self) -> bool:
        """Whether it still hears."""
        return self._utterance is not None

    def feed(self, pcm: bytes) -> None:
        """Hear the next piece."""
        self.sound.append(pcm)
        if self._utterance is not None:
            self._utterance.feed(pcm)

    def pause(self) -> None:
        """Recognise what was said so far, in case it is all."""
        if (
            self._utterance is not None
            and self._early is None
            and self._guesses < GUESSES
            and self._recognition.spare
        ):
            self._guesses += 1
            self._early = Deferred.fromCoroutine(self._utterance.finish())

    def resume(self) -> None:
        """Take note that it was not all."""
        if self._early is not None:
            self.release()
            self._open()

    async def finish(self) -> Transcript:
        """Get the text, now that it is all; raises ServiceError. It hears no more."""
        utterance, self._utterance = self._utterance, None
        early, self._early = self._early, None
        if utterance is None:
            return Transcript("", "")
        try:
            return await (utterance.finish() if early is None else early)
        finally:
            utterance.cancel()

    def release(self) -> None:
        """Give the recogniser up; the sound is kept, as the user may go on."""
        utterance, self._utterance = self._utterance, None
        early, self._early = self._early, None
        if early is not None:
            early.addErrback(lambda _: None)  # nobody will ask for it
            early.cancel()
        if utterance is not None:
            utterance.cancel()

    def _open(self) -> None:
        self._utterance = self._recognition.open(self._language)
        if self.sound:
            self._utterance.feed(b"".join(self.sound))
