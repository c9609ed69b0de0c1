"""Speak with any OpenAI-compatible speech server (/v1/audio/speech), streamed."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services import engine
from xiaozhi.services.bridge import from_aio, from_aio_stream, to_aio
from xiaozhi.services.tts import has_words
from xiaozhi.services.tts._pcm import Unwrapper

if TYPE_CHECKING:
    from openai import AsyncOpenAI

HOME = "https://api.openai.com/v1"
_CONNECT = 2.0
"""How long connecting may take, in seconds."""
_SOUND = ("audio/", "application/octet-stream", "binary/octet-stream")
_PACKED = ("mpeg", "mp3", "ogg", "opus", "flac", "aac", "webm")


class Settings(engine.Settings, frozen=True):
    """Settings of an OpenAI-compatible voice."""

    base_url: Annotated[
        str, Meta(description="Address of the API, ending in /v1 as a rule. Empty: OpenAI's own.")
    ] = "${OPENAI_BASE_URL:-}"
    api_key: Annotated[
        str, Meta(description="The key. May be empty for a server of your own (set base_url).")
    ] = "${OPENAI_API_KEY:-}"
    model: Annotated[str, Meta(description="Name of the model.", min_length=1)] = "gpt-4o-mini-tts"
    voice: Annotated[str, Meta(description="Name of the voice.", min_length=1)] = "alloy"
    instructions: Annotated[
        str, Meta(description="How to speak, in words, for models that follow them.")
    ] = ""
    rate: Annotated[
        int, Meta(description="Sample rate of the server's PCM, in Hz.", ge=8000, le=48000)
    ] = 24000
    timeout_s: Annotated[
        float, Meta(description="Seconds the server may keep silent.", gt=0, le=300)
    ] = 10.0
    languages: Annotated[
        tuple[str, ...],
        Meta(description='Languages the voice can do, or ["*"] for all.', min_length=1),
    ] = ("*",)


class Speaker(Service):
    """A voice behind an OpenAI-compatible API."""

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Prepare; raise `Unavailable` if there is nothing to connect to."""
        if find_spec("openai") is None:
            raise Unavailable("openai is not installed: pip install openai")
        if not settings.api_key and not settings.base_url:
            raise Unavailable(
                "no API key: set OPENAI_API_KEY in the environment, or api_key in the"
                " configuration (for a server of your own that needs none, OPENAI_BASE_URL or"
                " base_url)"
            )
        url = urlsplit(settings.base_url or HOME)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise Unavailable("its base_url is not an http:// or https:// address")
        self.rate = settings.rate
        self.languages: Collection[str] = frozenset(settings.languages)
        self._settings = settings
        self._pool = workshop.pool
        self._client: AsyncOpenAI | None = None
        self._connecting = threading.Lock()

    async def speak(self, sentence: str, language: str) -> AsyncIterator[bytes]:
        """Yield the sound as the server sends it; raise ServiceError."""
        if not has_words(sentence):
            return
        unwrapper = Unwrapper(self.rate)
        silent = True
        received = from_aio_stream(lambda: self._receive(sentence))
        async with aclosing(received):  # type: ignore[type-var]
            async for piece in received:
                if pcm := unwrapper.feed(piece):
                    silent = False
                    yield pcm
        if pcm := unwrapper.finish():
            silent = False
            yield pcm
        if silent:
            raise ServiceError("tts", f"{self._shown} answered without sound")

    def stopService(self) -> Deferred[None]:
        """Close the connections. Speech on its way fails."""
        super().stopService()
        client, self._client = self._client, None
        return succeed(None) if client is None else from_aio(client.close())

    @property
    def _shown(self) -> str:
        """The address without what may be secret in it: name, password and query."""
        parts = urlsplit(self._settings.base_url or HOME)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def _connect(self) -> AsyncOpenAI:
        """Import openai and make the client, once: half a second of work, for a thread."""
        import openai

        with self._connecting:
            if self._client is None:
                settings = self._settings
                self._client = openai.AsyncOpenAI(
                    api_key=settings.api_key or "none",
                    base_url=settings.base_url or HOME,
                    max_retries=0,
                    timeout=openai.Timeout(settings.timeout_s, connect=_CONNECT),
                )
                _ = self._client.audio.speech  # imports some more
            return self._client

    async def _receive(self, sentence: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the answer. Belongs to asyncio."""
        client = await to_aio(self._pool.run(self._connect))
        import httpx2
        import openai

        settings = self._settings
        options: dict[str, Any] = {}
        if settings.instructions:
            options["instructions"] = settings.instructions
        try:
            # Leaving the context closes the connection: that stops the synthesis.
            async with client.audio.speech.with_streaming_response.create(
                input=sentence,
                model=settings.model,
                voice=settings.voice,
                response_format="pcm",
                **options,
            ) as answer:
                kind = answer.headers.get("content-type", _SOUND[0]).lower()
                if not kind.startswith(_SOUND) or any(name in kind for name in _PACKED):
                    raise ServiceError("tts", f"{self._shown} answered with {kind[:50]}, not PCM")
                async for piece in answer.iter_bytes():
                    yield piece
        # Addresses or keys that cannot be sent are ValueErrors.
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> ServiceError:
        import openai

        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            # What the server says to these may repeat the key.
            cause = f"HTTP {error.status_code}, the API key was refused"
        elif isinstance(error, openai.APIStatusError):
            cause = f"HTTP {error.status_code}, {error.message}"
        elif isinstance(error, openai.APITimeoutError):
            cause = "timed out"
        else:
            cause = str(error.__cause__ or error) or type(error).__name__
        if self._settings.api_key:
            cause = cause.replace(self._settings.api_key, "***")
        return ServiceError("tts", f"{self._shown}: {' '.join(cause.split())[:200]}")
