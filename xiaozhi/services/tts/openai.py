"""Speak with any OpenAI-compatible speech server (/v1/audio/speech), streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta
from twisted.application.service import MultiService

from xiaozhi.services import openai_api
from xiaozhi.services.bridge import from_aio_stream
from xiaozhi.services.engine import Workshop
from xiaozhi.services.fields import Silence
from xiaozhi.services.openai_errors import BadAnswer
from xiaozhi.services.tts import has_words
from xiaozhi.services.tts._pcm import Unwrapper

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_SOUND = ("audio/", "application/octet-stream", "binary/octet-stream")
_PACKED = ("mpeg", "mp3", "ogg", "opus", "flac", "aac", "webm")


class Settings(openai_api.Settings, frozen=True):
    """Settings of an OpenAI-compatible voice."""

    # Not the mind's: who connects a language model has not asked to send voices there.
    base_url: openai_api.BaseUrl = "${OPENAI_TTS_BASE_URL:-}"
    api_key: openai_api.ApiKey = "${OPENAI_TTS_API_KEY:-}"
    model: Annotated[str, Meta(description="Name of the model.", min_length=1)] = "gpt-4o-mini-tts"
    voice: Annotated[str, Meta(description="Name of the voice.", min_length=1)] = "alloy"
    instructions: Annotated[
        str, Meta(description="How to speak, in words, for models that follow them.")
    ] = ""
    rate: Annotated[
        int, Meta(description="Sample rate of the server's PCM, in Hz.", ge=8000, le=48000)
    ] = 24000
    timeout_s: Silence = 6.0
    languages: Annotated[
        tuple[str, ...],
        Meta(description='Languages the voice can do, or ["*"] for all.', min_length=1),
    ] = ("*",)


class Speaker(MultiService):
    """A voice behind an OpenAI-compatible API."""

    def __init__(self, settings: Settings, workshop: Workshop) -> None:
        """Prepare; raise `Unavailable` if there is nothing to connect to."""
        super().__init__()
        self.rate = settings.rate
        self.languages: Collection[str] = frozenset(settings.languages)
        self._settings = settings
        self._client = openai_api.Client.configured("tts", settings, workshop)
        self._client.setServiceParent(self)

    def warm(self) -> None:
        """Have a connection ready for a request that will soon come; see `Client.warm`."""
        self._client.warm()

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sound as the server sends it; raise ServiceError."""
        if has_words(sentence):
            async with aclosing(from_aio_stream(lambda: self._sound(sentence))) as pieces:
                async for piece in pieces:
                    yield piece

    async def _sound(self, sentence: str) -> AsyncGenerator[bytes, None]:
        """Yield the samples of the answer, a frame's worth at once. Belongs to asyncio."""
        unwrapper = Unwrapper(self.rate)
        least = self.rate // 20 * 2
        sound, silent = b"", True
        async with (
            self._client.asking(self._settings.model) as api,
            aclosing(self._receive(api, sentence)) as received,
        ):
            async for piece in received:
                sound += unwrapper.feed(piece)
                # Who sends a byte now and then has not begun to speak.
                if len(sound) >= least:
                    silent = False
                    yield sound
                    sound = b""
            if sound := sound + unwrapper.finish():
                silent = False
                yield sound
            if silent:
                raise BadAnswer("answered without sound")

    async def _receive(self, api: AsyncOpenAI, sentence: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the answer; BadAnswer if they are no PCM."""
        settings = self._settings
        options: dict[str, Any] = {}
        if settings.instructions:
            options["instructions"] = settings.instructions
        # Leaving the context closes the connection: that stops the synthesis.
        async with api.audio.speech.with_streaming_response.create(
            input=sentence,
            model=settings.model,
            voice=settings.voice,
            response_format="pcm",
            **options,
        ) as answer:
            kind = answer.headers.get("content-type", _SOUND[0]).lower()
            if not kind.startswith(_SOUND) or any(name in kind for name in _PACKED):
                raise BadAnswer(f"answered with {kind[:50]}, not PCM")
            async for piece in answer.iter_bytes():
                yield piece
