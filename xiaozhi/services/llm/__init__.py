"""Mind: language models. The interface of a model, and the list that tries them in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Any, Literal, NamedTuple, Protocol

from twisted.application.service import IService, MultiService
from twisted.logger import Logger

from xiaozhi import languages
from xiaozhi.errors import Absent, ServiceError
from xiaozhi.services.deadline import timed


class Message(NamedTuple):
    """One entry of a conversation, as a model is given it."""

    role: Literal["system", "user", "assistant"]
    content: str


class Model(Protocol):
    """An engine of this kind: see `xiaozhi.services.engine`."""

    languages: Collection[str]
    """Primary subtags, or {"*"}."""

    def reply(self, messages: Sequence[Message], language: str) -> AsyncGenerator[str, None]:
        """Yield the answer to the last message in pieces, as they come.

        An async generator; `language` is the one the user should be answered in. Raises
        ServiceError. Closing it (aclose) stops the generation where it takes place.
        """


def whole_characters(text: str) -> str:
    """Replace halves of characters, which servers that cut emojis in two send."""
    return text.encode("utf-8", "replace").decode()


class Minds(MultiService):
    """Models in the order they are tried. Those that are services live with it."""

    log = Logger()
    first = 15.0
    """Seconds a model may take for the first piece of its answer."""
    gap = 15.0
    """Seconds a model may take for each piece after it."""

    def __init__(self, models: Sequence[tuple[str, Model]], reactor: Any) -> None:
        """Take the `models`, each with its name for the log."""
        super().__init__()
        self._models = tuple(models)
        self._reactor = reactor
        self._failing: set[str] = set()
        for _, model in models:
            if IService.providedBy(model):
                model.setServiceParent(self)

    @property
    def lineup(self) -> list[tuple[str, Collection[str]]]:
        """Who is here and what they can, in order, for the report at start."""
        return [(name, model.languages) for name, model in self._models]

    async def reply(self, messages: Sequence[Message], language: str) -> AsyncGenerator[str, None]:
        """Yield the answer of the first model that has one; its pieces are not blank at first.

        Models that can do `language` are asked first. One that fails before its first piece
        is followed by the next at once. Raises ServiceError when one fails after that, or when
        all have failed.
        """
        failures = []
        for name, model in self._asked(language):
            spoke = False
            try:
                answer = timed(
                    model.reply(messages, language), self._reactor, "llm", self.first, self.gap
                )
                async with aclosing(answer) as pieces:
                    async for piece in pieces:
                        if spoke or piece.strip():
                            spoke = True
                            yield whole_characters(piece)
                if not spoke:
                    raise ServiceError("llm", "the answer was empty")
            except ServiceError as error:
                self._note_failure(name, error)
                if spoke:
                    raise
                failures.append(f"{name}: {error.why}")
            else:
                self._note_success(name)
                return
        raise ServiceError("llm", "; ".join(failures) or "there is no language model")

    def _asked(self, language: str) -> list[tuple[str, Model]]:
        # Stable: within those that can do the language, and those that cannot, the order holds.
        return sorted(
            self._models, key=lambda item: not languages.can(item[1].languages, {language})
        )

    def _note_failure(self, name: str, error: ServiceError) -> None:
        if name not in self._failing:
            self._failing.add(name)
            if isinstance(error, Absent):
                self.log.info(
                    "language model {name} is not there ({why})", name=name, why=error.why
                )
            else:
                self.log.warn("language model {name} failed: {why}", name=name, why=error.why)

    def _note_success(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            self.log.info("language model {name} works again", name=name)
