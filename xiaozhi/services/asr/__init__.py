"""Ears: speech to text. The interface of a recogniser, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from xiaozhi import languages
from xiaozhi.errors import ServiceError
from xiaozhi.services.deadline import Deadlines
from xiaozhi.services.roster import UNABLE, Member, Roster

RATE = 16000
"""Sample rate of all recognition, in Hz: 16-bit little-endian mono PCM."""


DEADLINES: Final = Deadlines(first=10.0, gap=0.0, whole=10.0)
"""For the text, after the end of speech; longer by as much as the utterance is long. A last
resort, since what speaks over a network has a shorter one of its own."""
BUDGET: Final = 16.0
"""The same for all recognisers together: then the user is told."""
KEPT: Final = 60
"""Seconds of an utterance that are kept for the next recogniser."""
SPARE: Final = 3
"""So many recognitions at one time, and there is no time for one that may be in vain."""
_TEXT: Final = 4000
"""Characters of a transcript: nobody says more in a minute."""


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


class Recognition(Roster[Recogniser]):
    """Recognisers in the order they are tried."""

    stage = "asr"
    title = "recogniser"
    usual = DEADLINES

    def __init__(
        self,
        recognisers: Sequence[tuple[str, Recogniser]],
        reactor: Any,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Take the `recognisers`, each with its name for the log."""
        super().__init__(recognisers, reactor, deadlines)
        self.busy = 0
        """Recognitions under way."""

    @property
    def spare(self) -> bool:
        """Whether there is time for a recognition that may turn out to be in vain."""
        return self.busy < SPARE

    def open(self, language: str) -> Utterance:
        """Begin an utterance with the first recogniser that can do `language` and can serve.

        If none can do it, or none that can is there, the others guess. When one
        fails, at once or later, the next is given all that was said. If none can serve now
        (models being loaded, say), they are asked again at the end of the utterance.
        """

        def rank(recogniser: Recogniser) -> int:
            able = not language or languages.can(recogniser.languages, {language})
            return 0 if able else UNABLE

        members = self.order(rank)
        able = [member for member in members if rank(member.engine) == 0]
        return Hearing(self, able, members[len(able) :], language)

    async def probe(self, engine: Recogniser) -> None:
        """Let a recogniser hear a second of next to nothing: any text will do."""
        utterance = engine.open("")
        try:
            utterance.feed(b"\x10\x00\xf0\xff" * (RATE // 2))
            await utterance.finish()
        finally:
            utterance.cancel()


class Hearing:
    """An utterance that survives the recogniser it is with: it keeps the sound for the next."""

    def __init__(
        self,
        recognition: Recognition,
        able: list[Member[Recogniser]],
        others: list[Member[Recogniser]],
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
        self._member: Member[Recogniser] | None = None
        self._utterance: Utterance | None = None
        self._open()

    def feed(self, pcm: bytes) -> None:
        """Pass the piece on, and keep it."""
        if self._over:
            return
        self._length += len(pcm)
        # What comes late is not kept: the start of an utterance tells more than its end.
        self._heard += pcm[: KEPT * RATE * 2 - len(self._heard)]
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
        self._recognition.busy += 1
        clock = self._recognition.reactor
        until = clock.seconds() + BUDGET + self._seconds
        try:
            while (utterance := self._utterance) is not None and (member := self._member):
                asked = clock.seconds()
                try:
                    transcript = await self._finish(utterance, member, until)
                except ServiceError as error:
                    self._note(member, error)
                    utterance.cancel()
                    if clock.seconds() >= until:
                        break
                    self._open()
                else:
                    self._recognition.answered(member, asked)
                    self._recognition.worked(member)
                    return transcript._replace(text=transcript.text[:_TEXT])
            raise ServiceError("asr", "; ".join(self._failures) or "there is no recogniser")
        finally:
            self._recognition.busy -= 1
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
        self._let_go()

    @property
    def _seconds(self) -> float:
        return self._length / (RATE * 2)

    async def _finish(
        self, utterance: Utterance, member: Member[Recogniser], until: float
    ) -> Transcript:
        """Wait for the text, `until` the user has waited long enough."""
        left = until - self._recognition.reactor.seconds()
        patience = min(left, self._recognition.patience(member).first + self._seconds)
        waiter = self._waiter = Deferred.fromCoroutine(utterance.finish())
        waiter.addTimeout(patience, self._recognition.reactor)
        with self._recognition.guard(member):
            try:
                return await waiter
            except TimedOut as error:
                raise ServiceError("asr", f"no text within {patience:.0f} s") from error
            finally:
                self._waiter = None

    def _open(self) -> None:
        """Go to the next recogniser that can serve, with all that was said so far."""
        self._utterance = None
        self._let_go()
        while self._waiting and self._utterance is None:
            member = self._waiting.pop(0)
            try:
                with self._recognition.guard(member):
                    self._utterance = member.engine.open(self._language)
            except ServiceError as error:
                self._note(member, error)
            else:
                self._member = member
                self._recognition.hold(member)
                if self._heard:
                    self._utterance.feed(bytes(self._heard))

    def _let_go(self) -> None:
        """Tell the recogniser's list that this utterance is no longer with it."""
        member, self._member = self._member, None
        if member is not None:
            self._recognition.release(member)

    def _note(self, member: Member[Recogniser], error: ServiceError) -> None:
        self._recognition.failed(member, error)
        self._failures.append(f"{member.name}: {error.why}")
