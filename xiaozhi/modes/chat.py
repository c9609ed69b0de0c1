"""Chat: what was heard goes to the language model, and its answer is spoken."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime

import attrs

from xiaozhi.dialogue import Entry
from xiaozhi.services.llm import Message, Minds
from xiaozhi.settings import Assistant


@attrs.frozen
class Chat:
    """Free talk with the models of `minds`."""

    minds: Minds
    assistant: Assistant
    now: Callable[[], datetime]

    def answer(self, history: Sequence[Entry], language: str) -> AsyncGenerator[str, None]:
        """Yield the answer to the last entry of `history` in pieces; raises ServiceError."""
        # The time comes last: what stands before it can be cached by the model's server.
        prompt = f"{self.assistant.prompt_in(language)}\nIt is {self.now():%A, %Y-%m-%d %H:%M}."
        messages = [Message("system", prompt)]
        messages += [Message(entry.role, entry.text) for entry in history]
        return self.minds.reply(messages, language)
