"""Recognise with any server that has OpenAI's `/v1/audio/transcriptions`."""

from __future__ import annotations

import io
import wave
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services import engine
from xiaozhi.services.asr import RATE, Transcript
from xiaozhi.services.bridge import from_aio

if TYPE_CHECKING:
    from openai import AsyncOpenAI

HOME = "https://api.openai.com/v1"
LONGEST = 60 * RATE * 2
"""Bytes of an utterance that are sent; what comes after them is dropped."""
_SHORTEST = RATE * 2 // 10  # the service refuses less
_CONNECT = 2.0


class Settings(engine.Settings, frozen=True):
    """Settings of an OpenAI-compatible recogniser."""

    base_url: Annotated[
        str, Meta(description="Address of the API, ending in /v1 as a rule. Empty: OpenAI's own.")
    ] = "${OPENAI_BASE_URL:-}"
    api_key: Annotated[
        str, Meta(description="The key. May be empty for a server of your own (set base_url).")
    ] = "${OPENAI_API_KEY:-}"
    model: Annotated[
        str, Meta(description="Name of the model: whisper-1, gpt-4o-transcribe.", min_length=1)
    ] = "whisper-1"
    hint: Annotated[
        bool,
        Meta(
            description="Whether to tell the server the user's language: surer, but then nothing"
            " else is understood."
        ),
    ] = True
    timeout_s: Annotated[
        float, Meta(description="Seconds the server may keep silent.", gt=0, le=300)
    ] = 12.0
    languages: Annotated[
        tuple[str, ...],
        Meta(description='Languages the model knows, or ["*"] for all.', min_length=1),
    ] = ("*",)


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


class Recogniser(Service):
    """A recogniser behind an OpenAI-compatible API. It keeps connections open for reuse."""

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
        self._url = settings.base_url or HOME
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unavailable("its base_url is not an http:// or https:// address")
        self.languages = frozenset(settings.languages)
        self._settings = settings
        self._pool = workshop.pool
        self._client: AsyncOpenAI | None = None
        self._making = DeferredLock()

    def open(self, language: str) -> _Utterance:
        """Begin an utterance."""
        return _Utterance(self, language)

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        client, self._client = self._client, None
        return succeed(None) if client is None else from_aio(client.close())

    async def transcribe(self, sound: bytes, language: str) -> Transcript:
        """Send a WAV file and wait for its text; raises ServiceError."""
        hint = language if self._settings.hint else ""
        text = await from_aio(self._ask(await self._connected(), sound, hint))
        return Transcript(text.strip(), hint)

    async def _connected(self) -> AsyncOpenAI:
        # Locked, so that two who come first make one client.
        async with self._making:
            if self._client is None:
                self._client = await self._pool.run(self._connect)
        return self._client

    def _connect(self) -> AsyncOpenAI:
        """Import openai and make a client: half a second of work, for a thread."""
        import openai

        return openai.AsyncOpenAI(
            api_key=self._settings.api_key or "none",  # it insists on one
            base_url=self._url,
            max_retries=0,
            timeout=openai.Timeout(self._settings.timeout_s, connect=_CONNECT),
        )

    async def _ask(self, client: AsyncOpenAI, sound: bytes, hint: str) -> str:
        """Ask for a transcription, in an asyncio task."""
        import openai

        options: dict[str, Any] = {"language": hint} if hint else {}
        try:
            answer = await client.audio.transcriptions.create(
                file=("speech.wav", sound, "audio/wav"),
                model=self._settings.model,
                response_format="json",
                **options,
            )
        except openai.APITimeoutError as error:
            why = f"no answer within {self._settings.timeout_s:g} s"
            raise ServiceError("asr", why) from error
        except openai.APIConnectionError as error:
            raise ServiceError("asr", "the server cannot be reached") from error
        except openai.APIStatusError as error:
            # Only the number: the words may quote the key.
            raise ServiceError("asr", f"the server answered {error.status_code}") from error
        except (openai.OpenAIError, ValueError) as error:
            raise ServiceError("asr", "the server's answer makes no sense") from error
        # What is not JSON comes as a str, and no field is checked.
        text = getattr(answer, "text", None)
        if not isinstance(text, str):
            raise ServiceError("asr", "the server's answer makes no sense")
        return text


def wav(pcm: bytes) -> bytes:
    """Put recognition's PCM into a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(pcm)
    return file.getvalue()
