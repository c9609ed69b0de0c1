"""Recognise at once, and always the same."""

from __future__ import annotations

from collections.abc import Collection

from bench.sounds import QUESTION
from xiaozhi.services import engine
from xiaozhi.services.asr import Transcript


class Settings(engine.Settings, frozen=True):
    """There is nothing to set."""


class Utterance:
    """One utterance; its sound is only counted."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._heard = 0

    def feed(self, pcm: bytes) -> None:
        """Take the next piece."""
        self._heard += len(pcm)

    async def finish(self) -> Transcript:
        """Give the text."""
        return Transcript(QUESTION if self._heard else "", "en")

    def cancel(self) -> None:
        """There is nothing to release."""


class Recogniser:
    """Knows one sentence, in any language."""

    languages: Collection[str] = ("*",)

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Need nothing."""

    def open(self, language: str) -> Utterance:
        """Begin an utterance."""
        return Utterance()
