"""Mind: language models. The interface of a model, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Literal, NamedTuple, Protocol


class Message(NamedTuple):
    """One entry of a conversation, as a model is given it."""

    role: Literal["system", "user", "assistant"]
    content: str


class Model(Protocol):
    """An engine of this kind: see `xiaozhi.services.engine`."""

    languages: Collection[str]
    """Primary subtags, or {"*"}."""

    def reply(self, messages: Sequence[Message], language: str) -> AsyncIterator[str]:
        """Yield the answer to the last message in pieces, as they come.

        An async generator; `language` is the one the user should be answered in. Raises
        ServiceError. Closing it (aclose) stops the generation where it takes place.
        """
