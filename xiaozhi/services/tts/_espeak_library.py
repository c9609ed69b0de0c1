"""The library espeak-ng, as the package espeakng-loader carries it, by ctypes.

Its state is one for the process: the voice, the parameters and the callback. So there is one
`Library`, and a lock that lets one thread in at a time. A second of speech takes about 2 ms.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from pathlib import Path
from typing import Final

import attrs

from xiaozhi.errors import ServiceError

RATE: Final = 22050

_SYNCHRONOUS: Final = 2
_NO_EXIT: Final = 0x8000
_UTF8: Final = 1
_SPEED, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_WORD_GAP_MS: Final = 10

_CALLBACK: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@attrs.frozen
class Manner:
    """How something is said."""

    voice: str
    """A name the library knows, with a variant: "cmn+Annie"."""
    speed: int
    """Words per minute."""
    pitch: int
    """0 to 99."""
    pitch_range: int
    """0 to 99; how lively the melody is."""
    pause: int
    """Between words, in milliseconds."""
    volume: int
    """100 is normal."""


class Library:
    """The library, ready to speak. Every method may be called from any thread."""

    def __init__(self) -> None:
        """Load it: about 5 ms. Raises ServiceError."""
        import espeakng_loader

        # Started without data the library is left in a state that crashes later.
        if not (data() / "phontab").is_file():
            raise ServiceError("tts", f"espeak-ng's data are not in {data()}")
        try:
            self._dll = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise ServiceError("tts", f"espeak-ng cannot be loaded: {error}") from error
        rate = self._dll.espeak_Initialize(_SYNCHRONOUS, 0, str(data()).encode(), _NO_EXIT)
        if rate != RATE:
            raise ServiceError("tts", f"espeak-ng cannot start in {data()} ({rate})")
        self._lock = threading.Lock()
        self._pieces: list[bytes] = []
        # The library keeps no reference to it.
        self._callback = _CALLBACK(self._take)
        self._dll.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, manner: Manner) -> bytes:
        """Return `text` as 16-bit mono PCM at `RATE`, perhaps none; raise ServiceError."""
        # NUL would end the text early, and half a surrogate pair has no UTF-8.
        data = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        with self._lock:
            self._set(manner)
            self._pieces = []
            failed = self._dll.espeak_Synth(data, len(data), 0, 0, 0, _UTF8, None, None)
            pcm, self._pieces = b"".join(self._pieces), []
        if failed:
            raise ServiceError("tts", f"espeak-ng failed ({failed})")
        return pcm

    def _set(self, manner: Manner) -> None:
        if self._dll.espeak_SetVoiceByName(manner.voice.encode()):
            raise ServiceError("tts", f"espeak-ng has no voice {manner.voice!r}")
        for parameter, value in (
            (_SPEED, manner.speed),
            (_VOLUME, manner.volume),
            (_PITCH, manner.pitch),
            (_RANGE, manner.pitch_range),
            (_WORD_GAP, round(manner.pause / _WORD_GAP_MS)),
        ):
            self._dll.espeak_SetParameter(parameter, value, 0)

    def _take(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * count))
        return 0


def data() -> Path:
    """Say where the library's data are."""
    import espeakng_loader

    return Path(espeakng_loader.get_data_path())


_making = threading.Lock()


def library() -> Library:
    """Return the one library of the process; blocks at the first call."""
    # A cache alone lets two threads make one each, at the first call: two locks for one state.
    with _making:
        return _library()


@functools.cache
def _library() -> Library:
    return Library()
