"""Recognise with any server that has OpenAI's `/v1/audio/transcriptions`."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Collection
from typing import Annotated, Any

from msgspec import Meta
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred

from xiaozhi.services import openai_api
from xiaozhi.services.asr import RATE, Transcript
from xiaozhi.services.bridge import from_aio
from xiaozhi.services.engine import Workshop
from xiaozhi.services.fields import Known, Silence
from xiaozhi.services.openai_errors import BadAnswer

LONGEST = 60 * RATE * 2
"""Bytes of an utterance that are sent; what comes after them is dropped."""
_SHORTEST = RATE * 2 // 10  # the service refuses less


class Settings(openai_api.Settings, frozen=True):
    """Settings of an OpenAI-compatible recogniser."""

    # Not the mind's: who connects a language model has not asked to send voices there.
    base_url: openai_api.BaseUrl = "${OPENAI_ASR_BASE_URL:-}"
    api_key: openai_api.ApiKey = "${OPENAI_ASR_API_KEY:-}"
    model: Annotated[
        str, Meta(description="Name of the model: whisper-1, gpt-4o-transcribe.", min_length=1)
    ] = "whisper-1"
    hint: Annotated[
        bool,
        Meta(
            description="Whether to tell the server the user's language: surer, but then nothing"
            " else is understood."
        ),
    ] = False
    timeout_s: Silence = 8.0
    languages: Known = ("*",)


class _Utterance:
    """An utterance: kept until it is complete, then sent."""

    def __init__(self, recogniser: Recogniser, language: str) -> None:
        self._recogniser = recogniser
        self._language = language
        self._pcm = bytearray()
        self._over = False
        self._work: Deferred[Transcript] | None = None

    def feed(self, pcm: bytes) -> None:
        """Keep the piece."""
        if not self._over:
            self._pcm += pcm[: LONGEST - len(self._pcm)]

    async def finish(self) -> Transcript:
        """Send the utterance and wait for its text."""
        if self._over or len(self._pcm) < _SHORTEST:
            self.cancel()
            return Transcript("", "")
        try:
            self._work = Deferred.fromCoroutine(
                self._recogniser.transcribe(wav(bytes(self._pcm)), self._language)
            )
            return await self._work
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Forget the audio; a request under way is broken off."""
        self._over = True
        self._pcm.clear()
        if self._work is not None:
            self._work.cancel()


class Recogniser(MultiService):
    """A recogniser behind an OpenAI-compatible API."""

    def __init__(self, settings: Settings, workshop: Workshop) -> None:
        """Raise Unavailable if there is nothing to connect to."""
        super().__init__()
        self.languages: Collection[str] = frozenset(settings.languages)
        self._settings = settings
        self._client = openai_api.Client.configured("asr", settings, workshop)
        self._client.setServiceParent(self)

    def warm(self) -> None:
        """Have a connection ready for a request that will soon come; see `Client.warm`."""
        self._client.warm()

    def open(self, language: str) -> _Utterance:
        """Begin an utterance."""
        return _Utterance(self, language)

    async def transcribe(self, sound: bytes, language: str) -> Transcript:
        """Send a WAV file and wait for its text; raises ServiceError."""
        hint = language if self._settings.hint else ""
        text = await from_aio(self._ask(sound, hint))
        return Transcript(text.strip(), hint)

    async def _ask(self, sound: bytes, hint: str) -> str:
        """Ask for a transcription. Belongs to asyncio."""
        model = self._settings.model
        options: dict[str, Any] = {"language": hint} if hint else {}
        # A server that sends a byte now and then is never silent; and long sound takes a while.
        patience = self._settings.timeout_s + len(sound) / (RATE * 2)
        async with self._client.asking(model) as api:
            try:
                async with asyncio.timeout(patience):
                    answer = await api.audio.transcriptions.create(
                        file=("speech.wav", sound, "audio/wav"),
                        model=model,
                        response_format="json",
                        **options,
                    )
            except TimeoutError as error:
                raise BadAnswer(f"not done within {patience:.0f} s") from error
            # What is not JSON comes as a str, and no field is checked.
            text = getattr(answer, "text", None)
            if not isinstance(text, str):
                raise BadAnswer("sent what is no transcription")
            # Half a character, as some servers send, could not be passed on.
            return text.encode("utf-8", "replace").decode()


def wav(pcm: bytes) -> bytes:
    """Put recognition's PCM into a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(pcm)
    return file.getvalue()
