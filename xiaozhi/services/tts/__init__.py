"""Voice: text to speech. The interface of a speaker, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

import attrs

from xiaozhi import languages
from xiaozhi.errors import ServiceError
from xiaozhi.services.deadline import Deadlines, timed
from xiaozhi.services.roster import UNABLE, Member, Roster

DEADLINES: Final = Deadlines(first=8.0, gap=6.0, whole=30.0)
"""A last resort, since what speaks over a network has shorter ones of its own."""
LONGEST: Final = 15.0
"""Seconds of sound a sentence may have, and another for each of its characters."""


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


class Speech(Roster[Speaker]):
    """The voices of the server, in order of preference; the next stands in for one that fails."""

    stage = "tts"
    title = "voice"
    usual = DEADLINES

    def speak(
        self, sentence: str, language: str, first: Sequence[Member[Speaker]] = ()
    ) -> AsyncGenerator[Sound, None]:
        """Yield `sentence` as sound, in pieces; `language` is the listener's usual one.

        Those of `first` are preferred if they can do the sentence's main language. Raises
        ServiceError if no engine can, or if one fails in the middle: what was heard is not said
        again.
        """
        needed = languages.spoken(sentence, language)
        mostly = languages.main(sentence, language)

        def rank(speaker: Speaker) -> int:
            """Fit for the whole sentence, for its main language, or for others only."""
            if languages.can(speaker.languages, needed | {mostly}):
                return 0
            return 1 if languages.can(speaker.languages, {mostly}) else UNABLE

        def attempt(member: Member[Speaker]) -> AsyncGenerator[Sound, None]:
            return self._sounds(member.engine, sentence, mostly, self.patience(member))

        return self.stream(self.order(rank, first), attempt)

    async def probe(self, engine: Speaker) -> None:
        """Let a voice say a word."""
        able = engine.languages
        language = next((tag for tag in ("en", "zh") if languages.can(able, {tag})), "")
        word = "你好。" if language == "zh" else "Hello."
        language = language or next(iter(sorted(able)), "en")
        async with aclosing(self._sounds(engine, word, language, self.deadlines)) as sounds:
            async for _ in sounds:
                pass  # one that stalls or breaks off in the middle is not well

    async def _sounds(
        self, speaker: Speaker, sentence: str, language: str, deadlines: Deadlines
    ) -> AsyncGenerator[Sound, None]:
        """Yield what a voice makes of a sentence; ServiceError if it is nothing, or endless."""
        samples = Samples()
        length, longest = 0.0, LONGEST + len(sentence)
        pieces = timed(speaker.speak(sentence, language), self.reactor, "tts", deadlines)
        async with aclosing(pieces):
            async for piece in pieces:
                if pcm := samples.whole(piece):
                    length += len(pcm) / 2 / speaker.rate
                    if length > longest:
                        raise ServiceError("tts", f"more than {longest:.0f} s for a sentence")
                    yield Sound(speaker.rate, pcm)
        if not length and has_words(sentence):
            raise ServiceError("tts", "no sound")


@attrs.frozen
class Preferring:
    """The voices as somebody speaks with them who prefers some to the usual order."""

    speech: Speech
    first: Sequence[Member[Speaker]]

    def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        """Yield `sentence` as sound: see `Speech.speak`."""
        return self.speech.speak(sentence, language, self.first)
