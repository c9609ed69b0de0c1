"""Speak with the voices of Google Translate, by the package gTTS: free, without a key, online.

A sentence of up to 100 characters is one request and one MP3; a longer one is several, and the
sound of the first leaves before the second is asked for. The package neither checks the server's
certificate nor can be told to: what is spoken is not secret from who is on the way.
"""

from __future__ import annotations

import runpy
from collections.abc import AsyncGenerator, Collection, Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from xiaozhi.errors import ServiceError, missing
from xiaozhi.languages import primary
from xiaozhi.services import engine
from xiaozhi.services.tts import has_words

RATE = 24000
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


class Speaker:
    """Google Translate's voices."""

    rate = RATE

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Prepare; raise `Unavailable` if a package is missing."""
        for package, module in (("gTTS", "gtts"), ("miniaudio", "miniaudio")):
            if find_spec(module) is None:
                raise missing(package)
        self._settings = settings
        self._workshop = workshop

    @cached_property
    def languages(self) -> Collection[str]:
        """The languages Google speaks."""
        return frozenset(self._tags)

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sound of the sentence, request by request; raise ServiceError."""
        if not has_words(sentence):
            return
        pool = self._workshop.pool
        sounds = self._sounds(sentence, self._tags.get(language, language))
        # Each step is a request in a thread. Nobody can call it back, but the next is not made.
        while (pcm := await pool.run(next, sounds, None)) is not None:
            yield pcm

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

    def _sounds(self, sentence: str, tag: str) -> Iterator[bytes]:
        """Yield the sound of each request; each step blocks."""
        import miniaudio
        from gtts import gTTS, gTTSError

        chosen = self._settings
        silent = True
        try:
            speech = gTTS(
                sentence,
                tld=chosen.tld,
                lang=tag,
                slow=chosen.slow,
                lang_check=False,
                timeout=chosen.timeout_s,
            )
            for mp3 in speech.stream():
                sound = miniaudio.decode(
                    mp3, miniaudio.SampleFormat.SIGNED16, nchannels=1, sample_rate=RATE
                )
                silent = False
                yield sound.samples.tobytes()
        except gTTSError as error:
            raise ServiceError("tts", f"Google: {error}") from error
        except miniaudio.MiniaudioError as error:
            raise ServiceError("tts", f"Google's sound is no MP3: {error}") from error
        # Base64 or UTF-8 that is none, and a text of which nothing is left to send.
        except (ValueError, AssertionError) as error:
            raise ServiceError("tts", f"Google cannot be understood: {error}") from error
        if silent:
            raise ServiceError("tts", "Google answered without sound")
