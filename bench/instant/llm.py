"""Answer at once, and always the same; watch the reactor meanwhile, if that is wanted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Annotated

from msgspec import Meta
from twisted.application.service import MultiService

from bench.sounds import tokens
from bench.watch import Watcher
from xiaozhi.services import engine
from xiaozhi.services.llm import Message, Piece
from xiaozhi.tooling import Tool


class Settings(engine.Settings, frozen=True):
    """Settings of the instant model."""

    gaps: Annotated[
        str, Meta(description="File for the gaps of the reactor. Empty: nobody watches.")
    ] = ""


class Model(MultiService):
    """Knows one answer. As a service of the server's it has a place for the watcher."""

    languages: Collection[str] = ("*",)

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Cut the answer into tokens."""
        super().__init__()
        self._tokens = tokens()
        if settings.gaps:
            Watcher(workshop.reactor, settings.gaps).setServiceParent(self)

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer, token by token."""
        for token in self._tokens:
            yield token
