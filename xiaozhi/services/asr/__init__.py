"""Ears: speech to text. The interface of a recogniser, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

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
