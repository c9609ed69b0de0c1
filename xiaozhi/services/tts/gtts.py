"""Speak with the voices of Google Translate: free, without a key, online.

The package gTTS knows how Google is asked, and what for. A sentence of up to 100 characters is
one request and one MP3; a longer one is several, and the sound of the first leaves before the
second is asked for. The requests are made here and not by the package, whose threads could be
kept for ever by a server that sends a byte now and then.
"""

from __future__ import annotations

import asyncio
import base64
import re
import runpy
from collections.abc import AsyncGenerator, Collection, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from xiaozhi.errors import ServiceError, missing
from xiaozhi.languages import primary
from xiaozhi.services import engine
from xiaozhi.services.bridge import from_aio, to_aio
from xiaozhi.services.http import failure, preload
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.tts import has_words

if TYPE_CHECKING:
    import httpx2

RATE = 24000
ADDRESS: Final = "https://translate.google.{tld}/_/TranslateWebserverUi/data/batchexecute"
_SOUND: Final = re.compile(rb'jQ1olc","\[\\"([^"\\]*)\\"\]')
"""An MP3 in base64, in JSON in JSON."""
_RENAMED = {"iw": "he", "jw": "jv", "tl": "fil"}
"""Google's names of languages that have others now."""


class Settings(engine.Settings, frozen=True):
    """Settings of the engine `gtts`."""

    tld: Annotated[
        str,
        Meta(
            description="Which Google: translate.google.<tld>. It decides the accent.",
            pattern=r"^[a-z]{2,3}(\.[a-z]{2,3})?$",
        ),
    ] = "com"
    timeout_s: Annotated[
        float, Meta(description="Seconds to connect, and to wait for an answer.", gt=0, le=60)
    ] = 5.0
    slow: Annotated[bool, Meta(description="Speak slowly.")] = False


class Speaker(Service):
    """Google Translate's voices."""

    rate = RATE

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Prepare; raise `Unavailable` if a package is missing."""
        for package, module in (("gTTS", "gtts"), ("miniaudio", "miniaudio"), ("httpx2", "httpx2")):
            if find_spec(module) is None:
                raise missing(package)
        self._settings = settings
        self._pool = workshop.pool
        self._client = Lazy(workshop.pool, _connect)

    @cached_property
    def languages(self) -> Collection[str]:
        """The languages Google speaks."""
        return frozenset(self._tags)

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        client = self._client.drop()
        return succeed(None) if client is None else from_aio(client.aclose())

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sound of the sentence, request by request; raise ServiceError."""
        if has_words(sentence):
            tag = self._tags.get(language, language)
            for body in await self._pool.run(self._requests, sentence, tag):
                mp3 = await from_aio(self._ask(body))
                yield await self._pool.run(_decoded, mp3)

    @cached_property
    def _tags(self) -> dict[str, str]:
        """Google's tag for each language."""
        spec = find_spec("gtts")
        assert spec is not None
        assert spec.origin is not None
        # Only the table: the package itself takes 0.15 s to import, which is for a thread.
        table = Path(spec.origin).with_name("langs.py")
        tags: dict[str, str] = {}
        for tag in sorted(runpy.run_path(str(table))["_langs"], key=len):
            tags.setdefault(_RENAMED.get(tag, primary(tag)), tag)
        return {**tags, "zh": "zh-CN"}

    def _requests(self, sentence: str, tag: str) -> Sequence[str]:
        """Make what is sent to Google: for a thread, as importing the package takes its time."""
        from gtts import gTTS

        chosen = self._settings
        try:
            speech = gTTS(sentence, chosen.tld, tag, slow=chosen.slow, lang_check=False)
            bodies: Sequence[str] = speech.get_bodies()
        except (ValueError, AssertionError) as error:  # of which nothing is left to send
            raise ServiceError("tts", f"Google cannot be asked for this: {error}") from error
        return bodies

    async def _ask(self, body: str) -> bytes:
        """Send one request; return the MP3. Belongs to asyncio."""
        client = await to_aio(self._client.get())
        import httpx2
        from gtts import gTTS

        patience = self._settings.timeout_s
        url = ADDRESS.format(tld=self._settings.tld)
        try:
            async with asyncio.timeout(patience):
                answer = await client.post(url, content=body, headers=gTTS.GOOGLE_TTS_HEADERS)
        except TimeoutError as error:
            raise ServiceError("tts", f"Google: no answer within {patience:g} s") from error
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
            raise ServiceError("tts", f"Google: {why}") from error
        if answer.status_code != httpx2.codes.OK:
            why = f"Google: HTTP {answer.status_code}"
            raise failure("tts", why, answer.status_code, answer.headers)
        sound = _SOUND.search(answer.content)
        if sound is None:
            raise ServiceError("tts", "Google answered without sound")
        try:
            return base64.b64decode(sound[1], validate=True)
        except ValueError as error:
            raise ServiceError("tts", f"Google cannot be understood: {error}") from error


def _connect() -> httpx2.AsyncClient:
    """Make a client: for a thread."""
    from xiaozhi.services.connections import Connections

    import_module("gtts")  # for later: it takes 0.15 s
    preload()
    return Connections(timeout=None, follow_redirects=True)


def _decoded(mp3: bytes) -> bytes:
    """Turn an MP3 into PCM: for a thread."""
    import miniaudio

    try:
        sound = miniaudio.decode(
            mp3, miniaudio.SampleFormat.SIGNED16, nchannels=1, sample_rate=RATE
        )
    except miniaudio.MiniaudioError as error:
        raise ServiceError("tts", f"Google's sound is no MP3: {error}") from error
    pcm: bytes = sound.samples.tobytes()
    return pcm
