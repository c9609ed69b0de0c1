"""Think with any OpenAI-compatible chat server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Annotated

from msgspec import Meta
from twisted.application.service import MultiService

from xiaozhi.services import openai_api
from xiaozhi.services.engine import Workshop
from xiaozhi.services.fields import Known, MaxTokens, Silence, Temperature
from xiaozhi.services.llm import Message, Piece
from xiaozhi.services.llm.chat import Completions
from xiaozhi.services.llm.tooltext import Form
from xiaozhi.tooling import Tool


class Settings(openai_api.Settings, frozen=True):
    """Settings of an OpenAI-compatible model."""

    model: Annotated[str, Meta(description="Name of the model.", min_length=1)] = (
        "${OPENAI_MODEL:-gpt-4o-mini}"
    )
    max_tokens: MaxTokens = None
    temperature: Temperature = None
    timeout_s: Silence = 10.0
    tools: Form = "native"
    languages: Known = ("*",)


class Model(MultiService):
    """A model behind an OpenAI-compatible API."""

    def __init__(self, settings: Settings, workshop: Workshop) -> None:
        """Raise Unavailable if there is nothing to connect to."""
        super().__init__()
        self.languages: Collection[str] = frozenset(settings.languages)
        self._client = openai_api.Client.configured("llm", settings, workshop)
        self._client.setServiceParent(self)
        self._completions = Completions(
            self._client,
            settings.model,
            settings.tools,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
        )

    def warm(self) -> None:
        """Have a connection ready for a request that will soon come; see `Client.warm`."""
        self._client.warm()

    def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer in pieces as the server sends them."""
        return self._completions.reply(messages, tools)
