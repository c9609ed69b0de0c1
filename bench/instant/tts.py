"""Speak at once: the sound of the one answer is ready."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from typing import Annotated

from msgspec import Meta

from bench.sounds import RATE, answer
from xiaozhi.errors import ServiceError
from xiaozhi.services import engine


class Settings(engine.Settings, frozen=True):
    """Settings of the instant voice."""

    seconds: Annotated[
        float,
        Meta(description="Length of every sentence, whatever it is. 0: only the answer is known."),
    ] = 0.0


class Speaker:
    """Knows the sentences of one answer, or has the same sound for each."""

    rate = RATE
    languages: Collection[str] = ("*",)

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Read the sound."""
        self._sounds = answer()
        self._any = next(iter(self._sounds.values()))[: round(settings.seconds * RATE) * 2]

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sentence whole, as an engine does that computes it in one go."""
        sound = self._any or self._sounds.get(sentence)
        if sound is None:
            raise ServiceError("tts", f"{sentence[:40]!r} is not part of the answer")
        yield sound
