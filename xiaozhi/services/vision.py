"""What is to be seen on a picture, as a vision model behind an OpenAI-compatible API tells it."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, Final

from msgspec import Meta
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger

from xiaozhi.errors import Absent, ServiceError, Unavailable
from xiaozhi.services import openai_api
from xiaozhi.services.bridge import from_aio
from xiaozhi.services.engine import Workshop
from xiaozhi.services.openai_errors import BadAnswer, Declined
from xiaozhi.tooling import Picture

LONGEST: Final = 1200
"""Characters of an answer that are kept: the firmware takes no reply of more than 6 KB."""

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_USUAL: Final = {"zh": "这是什么？", "en": "What is this?"}
_NAMES: Final = {"zh": "Chinese (中文)", "en": "English"}


class Settings(openai_api.Settings, frozen=True):
    """The model that looks at photos. Without an address and a key there is none."""

    # Not the mind's: who connects a language model has not asked to send photos there.
    base_url: openai_api.BaseUrl = "${OPENAI_VISION_BASE_URL:-}"
    api_key: openai_api.ApiKey = "${OPENAI_VISION_API_KEY:-}"
    model: Annotated[str, Meta(description="Name of a model that sees.", min_length=1)] = (
        "${OPENAI_VISION_MODEL:-gpt-4o-mini}"
    )
    prompt: Annotated[
        str,
        Meta(
            description="What the model is told about its part. {language} stands for the user's "
            "language.",
            max_length=4000,
        ),
    ] = (
        "You are the eyes of a voice assistant: a user asks about a picture.\n"
        "Answer in {language}, in one to three short, plain sentences that can be spoken."
    )
    max_tokens: Annotated[int, Meta(description="Longest answer, in tokens.", ge=1)] = 300
    timeout_s: Annotated[
        float,
        Meta(
            description="Seconds for the whole answer. The firmware waits 30 for its upload and "
            "the answer; other programs (py-xiaozhi) wait 10, of which the upload takes one.",
            gt=0,
            le=28,
        ),
    ] = 9.0
    max_size: Annotated[
        int,
        Meta(
            description="Bytes of a photo, at most; 640 x 480 is some 50,000.",
            ge=65_536,
            le=8_388_608,
        ),
    ] = 2_097_152


class Vision(MultiService):
    """Looks at pictures. Its model may be another when the settings change."""

    log = Logger()

    def __init__(self, settings: Settings, workshop: Workshop) -> None:
        """Look as `settings` say; if there is no model, `able` tells."""
        super().__init__()
        self._workshop = workshop
        self._client: openai_api.Client | None = None
        self.heed(settings)

    @property
    def able(self) -> bool:
        """Whether there is a model to ask."""
        return self._client is not None

    def heed(self, settings: Settings) -> None:
        """Look as other settings say from now on."""
        before, self._client = self._client, None
        self.settings = settings
        if before is not None:
            before.disownServiceParent()
        try:
            self._client = openai_api.Client.configured("vision", settings, self._workshop)
        except Unavailable as error:
            self._lacking = str(error)
            if settings.base_url or settings.api_key:
                self.log.warn("no photos are looked at: {why}", why=error)
        else:
            self._client.setServiceParent(self)

    def describe(self, picture: Picture, question: str, language: str) -> Deferred[str]:
        """Answer a question about a picture, in a language (a primary subtag).

        Fails with ServiceError: Absent where there is no model.
        """
        seconds = self.settings.timeout_s
        looking = Deferred.fromCoroutine(self._describe(picture, question, language))
        looking.addTimeout(seconds, self._workshop.reactor)

        def late(failure: Any) -> Any:
            if failure.check(TimedOut) is None:
                return failure
            raise ServiceError("vision", f"no answer within {seconds:g} s")

        return looking.addErrback(late)

    async def _describe(self, picture: Picture, question: str, language: str) -> str:
        client, settings = self._client, self.settings
        if client is None:
            raise Absent("vision", self._lacking)
        # Three milliseconds for each megabyte.
        body = await self._workshop.pool.run(_request, settings, picture, question, language)
        return await from_aio(_ask(client, settings.model, body))


def kind(data: bytes) -> str:
    """Tell the type of an image by its first bytes; "" if it is none that models take."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for start, mime in _SIGNATURES if data.startswith(start)), "")


def _request(settings: Settings, picture: Picture, question: str, language: str) -> bytes:
    """Write the body of a chat completion."""
    prompt = settings.prompt.replace("{language}", _NAMES.get(language, language or "English"))
    asked = question.strip() or _USUAL.get(language, _USUAL["en"])
    url = f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode()}"
    content = [
        {"type": "text", "text": asked},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    request = {
        "model": settings.model,
        "max_tokens": settings.max_tokens,
        "messages": [
            {"role": "system", "content": prompt},
            {"role": "user", "content": content},
        ],
    }
    return json.dumps(request).encode()


async def _ask(client: openai_api.Client, model: str, body: bytes) -> str:
    """Send a request that is written already. Belongs to asyncio."""
    async with client.asking(model) as api:
        from openai.types.chat import ChatCompletion

        done = await api.post(
            "/chat/completions",
            cast_to=ChatCompletion,
            content=body,
            options={"headers": {"Content-Type": "application/json"}},
        )
        # The package does not check what came.
        choices = getattr(done, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        text = getattr(getattr(choice, "message", None), "content", None)
        if getattr(choice, "finish_reason", None) == "content_filter":
            raise Declined("its content filter would not let the answer pass")
        if not isinstance(text, str) or not text.strip():
            raise BadAnswer("sent what is no answer")
        return text.strip()[:LONGEST]
