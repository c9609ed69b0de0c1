"""Voice: text to speech. The interface of a speaker, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

from twisted.application.service import IService, MultiService
from twisted.logger import Logger

from xiaozhi import languages
from xiaozhi.errors import ServiceError
from xiaozhi.services.deadline import timed


class Speaker(Protocol):
    """An engine of this kind: see `xiaozhi.services.engine`."""

    @property
    def languages(self) -> Collection[str]:
        """Primary subtags, or {"*"}."""

    @property
    def rate(self) -> int:
        """Sample rate of the PCM it yields, in Hz. Fixed before the first piece is yielded."""

    def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sentence as 16-bit little-endian mono PCM at `rate` Hz, in pieces.

        An async generator; each piece has an even number of bytes. `language` is a primary
        subtag: the one the sentence is mostly in. Raises ServiceError. Closing it (aclose)
        stops the synthesis where it takes place.
        """


class Sound(NamedTuple):
    """A piece of speech."""

    rate: int
    """Sample rate in Hz."""
    pcm: bytes
    """16-bit little-endian mono samples, at least one of them."""


class Samples:
    """Turn pieces of a byte stream into pieces of whole 16-bit samples."""

    def __init__(self) -> None:
        """Begin between two samples."""
        self._odd = b""

    def whole(self, piece: bytes) -> bytes:
        """Return the samples complete with `piece`; half of one waits for the next piece."""
        data = self._odd + piece
        end = len(data) & ~1
        self._odd = data[end:]
        return data[:end]


def has_words(sentence: str) -> bool:
    """Say whether `sentence` has anything to be read aloud: a letter or a digit."""
    return any(character.isalnum() for character in sentence)


class Speech(MultiService):
    """The voices of the server, in order of preference; the next stands in for one that fails."""

    log = Logger()

    def __init__(
        self,
        engines: Sequence[tuple[str, Speaker]],
        reactor: Any,
        first: float = 10.0,
        gap: float = 10.0,
    ) -> None:
        """Use `engines`, each with its name; those that are services live as long as this.

        An engine fails that takes longer than `first` seconds for its first piece of sound, or
        longer than `gap` for a later one.
        """
        super().__init__()
        self._engines = tuple(engines)
        self._reactor = reactor
        self._first = first
        self._gap = gap
        self._failing: set[str] = set()
        for _, speaker in self._engines:
            if IService.providedBy(speaker):
                IService(speaker).setServiceParent(self)

    @property
    def lineup(self) -> list[tuple[str, Collection[str]]]:
        """The engines in order, each with the languages it can do, for the start-up report."""
        return [(name, speaker.languages) for name, speaker in self._engines]

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        """Yield `sentence` as sound, in pieces; `language` is the listener's usual one.

        Raises ServiceError if no engine can, or if one fails in the middle: what was heard is
        not said again.
        """
        mostly = languages.main(sentence, language)
        failures = []
        for name, speaker in self._ranked(sentence, language):
            begun = False
            try:
                async with aclosing(self._sounds(speaker, sentence, mostly)) as sounds:
                    async for sound in sounds:
                        begun = True
                        yield sound
                if not begun and has_words(sentence):
                    raise ServiceError("tts", "no sound")
            except ServiceError as error:
                self._failed(name, error)
                if begun:
                    raise
                failures.append(f"{name}: {error.why}")
            else:
                self._worked(name)
                return
        raise ServiceError("tts", "; ".join(failures) or "there is no voice")

    def _ranked(self, sentence: str, usual: str) -> list[tuple[str, Speaker]]:
        """Order the engines: fit for the whole sentence, for its main language, then others."""
        needed = languages.spoken(sentence, usual)
        mostly = languages.main(sentence, usual)

        def rank(named: tuple[str, Speaker]) -> int:
            able = named[1].languages
            if languages.can(able, needed | {mostly}):
                return 0
            return 1 if languages.can(able, {mostly}) else 2

        return sorted(self._engines, key=rank)

    async def _sounds(
        self, speaker: Speaker, sentence: str, mostly: str
    ) -> AsyncGenerator[Sound, None]:
        samples = Samples()
        pieces = timed(
            speaker.speak(sentence, mostly), self._reactor, "tts", self._first, self._gap
        )
        async with aclosing(pieces):
            async for piece in pieces:
                if pcm := samples.whole(piece):
                    yield Sound(speaker.rate, pcm)

    def _failed(self, name: str, error: ServiceError) -> None:
        if name not in self._failing:
            self._failing.add(name)
            self.log.warn("Voice {name} failed: {why}", name=name, why=error.why)

    def _worked(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            self.log.info("Voice {name} works again.", name=name)
