"""Ears: speech to text. The interface of a recogniser, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger

from xiaozhi import languages
from xiaozhi.errors import ServiceError

RATE = 16000
"""Sample rate of all recognition, in Hz: 16-bit little-endian mono PCM."""


class Transcript(NamedTuple):
    """What was said."""

    text: str
    """Empty when nothing intelligible was said."""
    language: str
    """Primary subtag of the language it was said in; "" if the engine does not know."""


class Utterance(Protocol):
    """One utterance on its way through a recogniser. It belongs to one session."""

    def feed(self, pcm: bytes) -> None:
        """Take the next piece of audio (16 kHz, 16-bit mono). Never blocks, never raises."""

    async def finish(self) -> Transcript:
        """Say that the audio is complete and wait for the text; raises ServiceError."""

    def cancel(self) -> None:
        """Give up and release everything. Idempotent; allowed at any time."""


class Recogniser(Protocol):
    """An engine of this kind: see `xiaozhi.services.engine`."""

    languages: Collection[str]
    """Primary subtags, or {"*"}."""

    def open(self, language: str) -> Utterance:
        """Begin an utterance. `language` is the user's usual one, a hint; "" if unknown.

        Raises ServiceError when the engine cannot serve now (weights on their way, say).
        """


class Recognition(MultiService):
    """Recognisers in the order they are tried. Those that are services live with it."""

    log = Logger()
    longest = 60
    """Seconds of an utterance that are kept for the next recogniser."""
    patience = 20.0
    """Seconds a recogniser may take for its text, and as many more as the utterance is long:
    a last resort, since each has a deadline of its own."""

    def __init__(self, recognisers: Sequence[tuple[str, Recogniser]], reactor: Any) -> None:
        """Take the `recognisers`, each with its name for the log."""
        super().__init__()
        self.reactor = reactor
        self._recognisers = tuple(recognisers)
        self._failing: set[str] = set()
        for _, recogniser in recognisers:
            if IService.providedBy(recogniser):
                recogniser.setServiceParent(self)

    @property
    def lineup(self) -> list[tuple[str, Collection[str]]]:
        """Who is here and what they can, in order, for the report at start."""
        return [(name, sorted(recogniser.languages)) for name, recogniser in self._recognisers]

    def open(self, language: str) -> Utterance:
        """Begin an utterance with the first recogniser that can do `language` and can serve.

        If none can do it, or none that can is there, the others guess. When one
        fails, at once or later, the next is given all that was said. If none can serve now
        (models being loaded, say), they are asked again at the end of the utterance.
        """
        able = [
            (name, recogniser)
            for name, recogniser in self._recognisers
            if not language or languages.can(recogniser.languages, {language})
        ]
        others = [entry for entry in self._recognisers if entry not in able]
        return Hearing(self, able, others, language)

    def note_failure(self, name: str, error: ServiceError) -> None:
        """Log that a recogniser failed, unless it is known."""
        if name not in self._failing:
            self._failing.add(name)
            self.log.warn("recogniser {name} failed: {why}", name=name, why=error.why)

    def note_success(self, name: str) -> None:
        """Log that a recogniser that had failed did not."""
        if name in self._failing:
            self._failing.discard(name)
            self.log.info("recogniser {name} works again", name=name)


class Hearing:
    """An utterance that survives the recogniser it is with: it keeps the sound for the next."""

    def __init__(
        self,
        recognition: Recognition,
        able: list[tuple[str, Recogniser]],
        others: list[tuple[str, Recogniser]],
        language: str,
    ) -> None:
        """Open the utterance with the first of `able` that can serve.

        Where none of those is there at all, the `others` guess.
        """
        self._recognition = recognition
        self._able = able
        self._others = others
        self._waiting = list(able)
        self._language = language
        self._heard = bytearray()
        self._length = 0
        self._over = False
        self._failures: list[str] = []
        self._waiter: Deferred[Transcript] | None = None
        self._name = ""
        self._utterance: Utterance | None = None
        self._open()

    def feed(self, pcm: bytes) -> None:
        """Pass the piece on, and keep it."""
        if self._over:
            return
        self._length += len(pcm)
        # What comes late is not kept: the start of an utterance tells more than its end.
        self._heard += pcm[: self._recognition.longest * RATE * 2 - len(self._heard)]
        if self._utterance is not None:
            self._utterance.feed(pcm)

    async def finish(self) -> Transcript:
        """Wait for the text of the first recogniser that has one; raises ServiceError."""
        if self._utterance is None and not self._over:
            self._waiting, self._failures = list(self._able), []
            self._open()
        if self._utterance is None and not self._over:
            self._waiting = list(self._others)
            self._open()
        try:
            while self._utterance is not None:
                try:
                    transcript = await self._finish(self._utterance)
                except ServiceError as error:
                    self._note(self._name, error)
                    self._utterance.cancel()
                    self._open()
                else:
                    self._recognition.note_success(self._name)
                    return transcript
            raise ServiceError("asr", "; ".join(self._failures) or "there is no recogniser")
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Release the recogniser and the sound; a `finish` under way ends with CancelledError."""
        self._over = True
        self._waiting.clear()
        self._heard.clear()
        if self._utterance is not None:
            self._utterance.cancel()
        if self._waiter is not None:
            self._waiter.cancel()

    async def _finish(self, utterance: Utterance) -> Transcript:
        patience = self._recognition.patience + self._length / (RATE * 2)
        waiter = self._waiter = Deferred.fromCoroutine(utterance.finish())
        waiter.addTimeout(patience, self._recognition.reactor)
        try:
            return await waiter
        except TimedOut as error:
            raise ServiceError("asr", f"no text within {patience:.0f} s") from error
        finally:
            self._waiter = None

    def _open(self) -> None:
        """Go to the next recogniser that can serve, with all that was said so far."""
        self._utterance = None
        while self._waiting and self._utterance is None:
            self._name, recogniser = self._waiting.pop(0)
            try:
                self._utterance = recogniser.open(self._language)
            except ServiceError as error:
                self._note(self._name, error)
            else:
                if self._heard:
                    self._utterance.feed(bytes(self._heard))

    def _note(self, name: str, error: ServiceError) -> None:
        self._recognition.note_failure(name, error)
        self._failures.append(f"{name}: {error.why}")
