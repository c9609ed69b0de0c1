"""How turns are taken: what is said unasked, and what is waited for."""

from __future__ import annotations

from collections.abc import Collection

import attrs


@attrs.frozen
class Manners:
    """How turns are taken. Times are in seconds."""

    wakeup_words: Collection[str] = ()
    greets: bool = True
    """Whether a wake word alone is answered with a greeting."""
    farewell: bool = True
    """Whether goodbye is said before a connection is closed on which nobody speaks."""
    tail: float = 0.15
    """So long after the button's release the microphone's last frames are waited for."""
    guard: float = 1.0
    """So long after a wake word its own sound is not taken for an utterance..."""
    guard_voice: float = 0.3
    """...unless there is more voice in that time than the end of a word."""
