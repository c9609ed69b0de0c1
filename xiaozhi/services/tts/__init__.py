"""Voice: text to speech. The interface of a speaker, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Protocol


class Speaker(Protocol):
    """An engine of this kind: see `xiaozhi.services.engine`."""

    languages: Collection[str]
    """Primary subtags, or {"*"}."""

    rate: int
    """Sample rate of the PCM it yields, in Hz. Fixed before the first piece is yielded."""

    def speak(self, sentence: str, language: str) -> AsyncIterator[bytes]:
        """Yield the sentence as 16-bit little-endian mono PCM at `rate` Hz, in pieces.

        An async generator; each piece has an even number of bytes. `language` is a primary
        subtag: the one the sentence is mostly in. Raises ServiceError. Closing it (aclose)
        stops the synthesis where it takes place.
        """
