"""Real sound hardware, through sounddevice where it is installed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from xiaozhi.device.errors import NoSound

_BLOCK_MS = 20


def _open(kind: str, rate: int, callback: Callable[..., None]) -> Any:
    try:
        import sounddevice
    except ImportError:
        raise NoSound("sounddevice is not installed: pip install sounddevice") from None
    except OSError as error:
        raise NoSound(f"sounddevice cannot work here: {error}") from error
    try:
        stream = getattr(sounddevice, kind)(
            samplerate=rate,
            channels=1,
            dtype="int16",
            blocksize=rate * _BLOCK_MS // 1000,
            callback=callback,
        )
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise NoSound(f"no sound hardware: {error}") from error
    return stream


class Capture:
    """A microphone: gives PCM blocks to a function, in a thread of its own."""

    def __init__(self, rate: int, take: Callable[[bytes], None]) -> None:
        """Open the default microphone at `rate` Hz. Raises NoSound."""
        self._take = take
        self._stream = _open("RawInputStream", rate, self._captured)

    def _captured(self, data: Any, frames: int, time: object, status: object) -> None:
        self._take(bytes(data))

    def close(self) -> None:
        """Let the microphone go."""
        self._stream.close()


class Speaker:
    """A loudspeaker: plays what it is given, one thing after another."""

    def __init__(self, rate: int) -> None:
        """Open the default loudspeaker at `rate` Hz. Raises NoSound."""
        self._lock = threading.Lock()
        self._sound = bytearray()
        self._stream = _open("RawOutputStream", rate, self._fill)

    def play(self, pcm: bytes) -> None:
        """Play `pcm` after what is playing."""
        with self._lock:
            self._sound += pcm

    def _fill(self, data: Any, frames: int, time: object, status: object) -> None:
        size = frames * 2
        with self._lock:
            sound = bytes(self._sound[:size])
            del self._sound[:size]
        data[:] = sound.ljust(size, b"\0")

    def close(self) -> None:
        """Let the loudspeaker go."""
        self._stream.close()
