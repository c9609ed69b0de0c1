"""Speak with espeak-ng: a robot, but in a hundred languages, at once and without a network.

A sentence of five seconds takes less than 10 ms, so each is made whole, in a thread; a long one
part by part, so that an answer that is broken off costs no more than the part under way.

Its Mandarin was measured by what Whisper (base) understood of thirty everyday sentences: with
the variant Annie, the pause between words and the wide melody that are the defaults here 43 % of
the characters are wrong instead of 69 %; of the ten sentences not used for tuning 52 instead of
62 %. Its reading of numbers in Mandarin is wrong from 112 on, so they are written out before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncGenerator, Collection, Iterator
from functools import cached_property
from importlib.util import find_spec
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from xiaozhi import languages
from xiaozhi.errors import missing
from xiaozhi.services import engine
from xiaozhi.services.tts import has_words
from xiaozhi.services.tts._chinese import read_aloud
from xiaozhi.services.tts._espeak_library import RATE, Manner, data, library

_VOICES: Final = {"zh": "cmn", "en": "en-us", "no": "nb", "pt": "pt-br"}
"""Voices whose name is not that of their language."""
_MUTE: Final = frozenset({"ja"})
"""Languages it has only by name: it reads kana, but "Chinese letter" for every kanji."""

_LONGEST: Final = 200
_HAN: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA: Final = r"\u3040-\u30ff"
_STRETCH: Final = re.compile(
    rf"[{_HAN}{_KANA}]+|(?:(?![{_HAN}{_KANA}])[^\W\d_])+(?:[ '’.-]?(?![{_HAN}{_KANA}])[^\W\d_])*"
)
"""Letters of one kind: words of Latin letters (or Cyrillic, ...), or Han characters."""
_PART: Final = re.compile(
    rf".{{1,{_LONGEST}}}(?:(?<=[\s,.;:!?，。、；：！？…])|$)|.{{1,{_LONGEST}}}", re.DOTALL
)
_STRAY: Final = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
"""Accents that belong to no letter."""
_SIGNS: Final = frozenset(
    "!\"#$%&'()+,-./:;=?@°²³½¼¾‰℃℉㎡€£¥￥×÷−≈«»¿¡‘’“”–—…·。，、！？：；（）《》「」『』＋＝～،؛؟।॥።"
)
"""What is kept beside letters and digits. The library breaks down at some other signs, and
nobody wants to hear those of markup, or the names of emojis."""
_HYPHEN: Final = re.compile(r"(?<![A-Za-z\d\u00c0-\u04ff\u1e00-\u1eff])-(?!\d)")
"""A hyphen after what it does not know is another thing that the library breaks down at."""
_AT_END: Final = 0.2
_WITHIN: Final = 0.04


class Settings(engine.Settings, frozen=True):
    """Settings of the engine `espeak`."""

    speed: Annotated[int, Meta(description="Words per minute.", ge=80, le=450)] = 150
    pitch: Annotated[int, Meta(description="How high it speaks.", ge=0, le=99)] = 45
    pitch_range: Annotated[
        int, Meta(description="How lively its melody is; tones need some.", ge=0, le=99)
    ] = 90
    pause_ms: Annotated[
        int, Meta(description="Pause between words, in milliseconds.", ge=0, le=500)
    ] = 20
    volume: Annotated[int, Meta(description="How loud; 100 is normal.", ge=1, le=150)] = 100
    variant: Annotated[
        str, Meta(description="Its person, one of espeak-ng's variants: Annie, m3, f2, ...")
    ] = "Annie"
    voices: Annotated[
        dict[str, str],
        Meta(description="Voices for languages where another is wanted: {zh: yue, en: en-gb}."),
    ] = {}


class Run(NamedTuple):
    """A part of a sentence, in one language."""

    language: str
    text: str


class Speaker:
    """espeak-ng, with the library and the voices that the package espeakng-loader brings."""

    rate = RATE

    def __init__(self, settings: Settings, workshop: engine.Workshop) -> None:
        """Prepare; raise `Unavailable` if the package is missing."""
        if find_spec("espeakng_loader") is None:
            raise missing("espeakng-loader")
        self._settings = settings
        self._workshop = workshop

    @cached_property
    def languages(self) -> Collection[str]:
        """The languages it has a voice and a dictionary for."""
        folder = data()
        found = {file.name for file in (folder / "lang").rglob("*") if file.is_file()}
        spoken = {
            name
            for name in found
            if languages.primary(name) == name and (folder / f"{name}_dict").is_file()
        }
        return frozenset((spoken | set(_VOICES) | set(self._settings.voices)) - _MUTE)

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sentence in parts, each in a voice of its language; raise ServiceError."""
        pool = self._workshop.pool
        silence = b""
        for run in await pool.run(runs, sentence, language):
            pcm = await pool.run(self._say, run)
            if pcm:
                yield silence + pcm
                ended = run.text.rstrip()[-1:] in ",.;:!?，。、；：！？…"
                silence = bytes(2 * int(RATE * (_AT_END if ended else _WITHIN)))

    def _say(self, run: Run) -> bytes:
        return library().say(run.text, self._manner(run.language))

    def _manner(self, language: str) -> Manner:
        chosen = self._settings
        voice = chosen.voices.get(language) or _VOICES.get(language)
        if voice is None:
            voice = language if language in self.languages else _VOICES["en"]
        if chosen.variant and "+" not in voice:
            voice = f"{voice}+{chosen.variant}"
        return Manner(
            voice, chosen.speed, chosen.pitch, chosen.pitch_range, chosen.pause_ms, chosen.volume
        )


def runs(sentence: str, usual: str) -> list[Run]:
    """Cut a sentence into parts of one language each, none long, and only what can be said.

    Numbers are written out where a Chinese sentence has them; other signs go with the words
    before them.
    """
    text = _STRAY.sub("", unicodedata.normalize("NFC", sentence))
    if languages.main(text, usual) == "zh":
        text = read_aloud(text)
    text = _HYPHEN.sub(" ", "".join(_kept(character) for character in text))
    found: list[Run] = []
    end = 0
    for stretch in _STRETCH.finditer(text):
        language = languages.main(stretch[0], usual)
        before = text[end : stretch.start()]
        if found and found[-1].language == language:
            found[-1] = Run(language, found[-1].text + before + stretch[0])
        elif found:
            found[-1] = Run(found[-1].language, found[-1].text + before)
            found.append(Run(language, stretch[0]))
        else:
            found.append(Run(language, before + stretch[0]))
        end = stretch.end()
    rest = text[end:]
    last = found.pop() if found else Run(usual, "")
    found.append(Run(last.language, last.text + rest))
    return [Run(run.language, part) for run in found for part in _parts(run.text)]


def _parts(text: str) -> Iterator[str]:
    for part in _PART.findall(text):
        if has_words(part):
            yield part


def _kept(character: str) -> str:
    """Return what is read of a character: itself, a digit for a digit, or a blank."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    return character if category[0] in "LM" or character in _SIGNS else " "
