"""Speak at once: the sound of the one answer is ready."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from bench.sounds import RATE, answer
from xiaozhi.errors import ServiceError
from xiaozhi.services import engine


class Settings(engine.Settings, frozen=True):
    """There is nothing to set."""


class Speaker:
    """Knows the sentences of one answer."""

    rate = RATE
    languages: Collection[str] = ("*",)

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Read the sound."""
        self._sounds = answer()

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sentence whole, as an engine does that computes it in one go."""
        if sentence not in self._sounds:
            raise ServiceError("tts", f"{sentence[:40]!r} is not part of the answer")
        yield self._sounds[sentence]
