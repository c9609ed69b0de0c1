"""Think with any OpenAI-compatible chat server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from importlib.util import find_spec
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from xiaozhi.errors import Unavailable
from xiaozhi.services import engine
from xiaozhi.services.llm import Message
from xiaozhi.services.llm.chat import Chat, Server

HOME = "https://api.openai.com/v1"


class Settings(engine.Settings, frozen=True):
    """Settings of an OpenAI-compatible model."""

    base_url: Annotated[
        str, Meta(description="Address of the API, ending in /v1 as a rule. Empty: OpenAI's own.")
    ] = "${OPENAI_BASE_URL:-}"
    api_key: Annotated[
        str, Meta(description="The key. May be empty for a server of your own (set base_url).")
    ] = "${OPENAI_API_KEY:-}"
    model: Annotated[str, Meta(description="Name of the model.", min_length=1)] = (
        "${OPENAI_MODEL:-gpt-4o-mini}"
    )
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Longest answer, in tokens. Empty: up to the server."),
    ] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        Meta(description="0 sober to 2 wild. Empty: up to the server."),
    ] = None
    timeout_s: Annotated[
        float, Meta(description="Seconds the server may keep silent.", gt=0, le=300)
    ] = 12.0
    languages: Annotated[
        tuple[str, ...],
        Meta(description='Languages the model knows, or ["*"] for all.', min_length=1),
    ] = ("*",)


class Model(Service):
    """A model behind an OpenAI-compatible API."""

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Raise Unavailable if there is nothing to connect to."""
        if find_spec("openai") is None:
            raise Unavailable("openai is not installed: pip install openai")
        if not settings.api_key and not settings.base_url:
            raise Unavailable(
                "no API key: set OPENAI_API_KEY in the environment, or api_key in the"
                " configuration (for a server of your own that needs none, OPENAI_BASE_URL or"
                " base_url)"
            )
        url = settings.base_url or HOME
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise Unavailable("its base_url is not an http:// or https:// address")
        self.languages: Collection[str] = frozenset(settings.languages)
        self._settings = settings
        server = Server(url, settings.api_key, settings.timeout_s)
        self._chat = Chat(workshop.pool, lambda: server)

    def reply(self, messages: Sequence[Message], language: str) -> AsyncIterator[str]:
        """Yield the answer in pieces as the server sends them."""
        settings = self._settings
        return self._chat.stream(
            messages,
            settings.model,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
        )

    def startService(self) -> None:
        """Make the client, so that the first question does not wait for it."""
        super().startService()
        self._chat.warm()

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        return self._chat.close()
