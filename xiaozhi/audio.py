"""Sound as the house handles it: Opus, resampling and WAV files.

PCM here is always signed 16-bit little-endian mono, as `bytes`. A codec or a resampler
belongs to one stream and to one thread at a time; libopus runs without the GIL.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import importlib.util
import io
import warnings
import wave
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soxr

from xiaozhi.errors import BadMessage, missing

SAMPLE_BYTES: Final = 2
FRAME_MS: Final = (5, 10, 20, 40, 60, 80, 100, 120)
"""The durations, in ms, a device can play and an `Encoder` can make."""

_MAX_PACKET_MS: Final = 120
_MAX_PACKET_BYTES: Final = 4000
_OPUS_AUTO: Final = -1000
_SIGNAL_VOICE: Final = 3001
_APPLICATION_AUDIO: Final = 2049
# Frame durations by the upper five bits of a packet's first byte (RFC 6716, table 2).
_TOC_MS: Final = (10.0, 20.0, 40.0, 60.0) * 3 + (10.0, 20.0) * 2 + (2.5, 5.0, 10.0, 20.0) * 4


def _opus() -> tuple[Any, Any, Any]:
    """Import opuslib's decoder, encoder and ctl calls, on the bundled libopus if need be.

    opuslib looks for the library while it is imported, with `find_library` and nothing else.
    """
    library = ctypes.util.find_library("opus") or _bundled_opus()
    find_library = ctypes.util.find_library
    ctypes.util.find_library = lambda name: library if name == "opus" else find_library(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            names = ("decoder", "encoder", "ctl")
            decoder, encoder, ctl = (importlib.import_module(f"opuslib.api.{n}") for n in names)
    finally:
        ctypes.util.find_library = find_library
    # The ctl calls are variadic in C; some machines pass such arguments another way.
    decoder.libopus_ctl.argtypes = (decoder.DecoderPointer, ctypes.c_int)
    encoder.libopus_ctl.argtypes = (encoder.EncoderPointer, ctypes.c_int)
    return decoder, encoder, ctl


def _bundled_opus() -> str:
    spec = importlib.util.find_spec("opuslib_next")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("libopus.so", "libopus.dylib", "opus.dll"):
            if (path := Path(folder, "_native", name)).exists():
                return str(path)
    raise missing("libopus", "opuslib-next-bundled")


_decoder, _encoder, _ctl = _opus()


class Decoder:
    """Decode one stream of Opus packets, of any rate and of one or two channels, to PCM."""

    def __init__(self, rate: int = 16000) -> None:
        """Decode to `rate` Hz: 8000, 12000, 16000, 24000 or 48000."""
        if rate not in (8000, 12000, 16000, 24000, 48000):
            raise ValueError(f"Opus has no rate of {rate} Hz")
        self.rate = rate
        self._samples = rate * _MAX_PACKET_MS // 1000
        self._pcm = (ctypes.c_int16 * self._samples)()
        self._state = _decoder.create_state(rate, 1)

    def __del__(self) -> None:
        """Give the decoder's memory back."""
        if hasattr(self, "_state"):
            _decoder.destroy(self._state)

    def decode(self, packet: bytes) -> bytes:
        """Decode one `packet` of at most 120 ms; an empty one holds nothing.

        Raises BadMessage if it is not Opus; the decoder then begins anew with the next packet.
        """
        if not packet:
            return b""
        samples: int = _decoder.libopus_decode(
            self._state, packet, len(packet), self._pcm, self._samples, 0
        )
        if samples < 0:
            self.reset()
            raise BadMessage(f"not an Opus packet ({len(packet)} bytes, libopus {samples})")
        return ctypes.string_at(self._pcm, samples * SAMPLE_BYTES)

    def reset(self) -> None:
        """Forget the stream so far."""
        _decoder.decoder_ctl(self._state, _ctl.reset_state)


class Encoder:
    """Encode one stream of PCM to Opus packets of one duration."""

    def __init__(
        self,
        rate: int,
        frame_ms: int,
        bitrate: int | None = 24000,
        complexity: int = 5,
        voice: bool = True,
        dtx: bool = False,
    ) -> None:
        """Encode frames of `frame_ms` (see `FRAME_MS`) at `rate` Hz (as `Decoder` has them).

        `bitrate` is in bit/s, None leaving it to libopus; `complexity` is 0 (cheap) to 10.
        `voice` keeps libopus to what suits speech: it would take music at low complexity.
        `dtx` shrinks the packets of a silence to a byte or two.
        """
        if rate not in (8000, 12000, 16000, 24000, 48000):
            raise ValueError(f"Opus has no rate of {rate} Hz")
        if frame_ms not in FRAME_MS:
            raise ValueError(f"Opus has no frames of {frame_ms} ms")
        self.rate = rate
        self.frame_ms = frame_ms
        self.frame_bytes = rate * frame_ms // 1000 * SAMPLE_BYTES
        self._packet = (ctypes.c_char * _MAX_PACKET_BYTES)()
        self._state = _encoder.create_state(rate, 1, _APPLICATION_AUDIO)
        self._set(_ctl.set_bitrate, _OPUS_AUTO if bitrate is None else bitrate)
        self._set(_ctl.set_complexity, complexity)
        self._set(_ctl.set_signal, _SIGNAL_VOICE if voice else _OPUS_AUTO)
        self._set(_ctl.set_dtx, int(dtx))

    def __del__(self) -> None:
        """Give the encoder's memory back."""
        if hasattr(self, "_state"):
            _encoder.destroy(self._state)

    def _set(self, setting: Any, value: int) -> None:
        _encoder.encoder_ctl(self._state, setting, value)

    def encode(self, pcm: bytes) -> bytes:
        """Encode one frame: `frame_bytes` of `pcm`, or less with silence after it.

        Raises ValueError if there is more than a frame of it.
        """
        if len(pcm) > self.frame_bytes:
            raise ValueError(f"{len(pcm)} bytes are more than a frame ({self.frame_bytes})")
        # libopus reads a whole frame whatever it is given: a short one must never reach it.
        frame = (ctypes.c_int16 * (self.frame_bytes // SAMPLE_BYTES)).from_buffer_copy(
            pcm.ljust(self.frame_bytes, b"\0")
        )
        length: int = _encoder.libopus_encode(
            self._state, frame, len(frame), self._packet, _MAX_PACKET_BYTES
        )
        if length < 0:
            raise ValueError(f"libopus cannot encode this frame: {length}")
        return ctypes.string_at(self._packet, length)

    def reset(self) -> None:
        """Forget the stream so far, keeping the settings."""
        _encoder.encoder_ctl(self._state, _ctl.reset_state)


def packet_duration_ms(packet: bytes) -> float:
    """Tell how many ms of sound an Opus `packet` holds, by its table of contents.

    Raises BadMessage if it cannot be a packet: empty, without its frame count, or over 120 ms.
    """
    if not packet:
        raise BadMessage("an empty Opus packet")
    code = packet[0] & 3
    if code == 3 and len(packet) < 2:
        raise BadMessage("an Opus packet cut off before its frame count")
    frames = (1, 2, 2)[code] if code < 3 else packet[1] & 63
    duration = _TOC_MS[packet[0] >> 3] * frames
    if not 0 < duration <= _MAX_PACKET_MS:
        raise BadMessage(f"an Opus packet of {duration:g} ms")
    return duration


class Resampler:
    """Change the rate of one stream of PCM, piece by piece."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        """Take `rate_in` Hz and give `rate_out` Hz; equal rates pass through untouched."""
        self._stream = (
            None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, 1, "int16")
        )

    def feed(self, pcm: bytes, last: bool = False) -> bytes:
        """Take whole samples of `pcm` and give what is ready; with `last`, all there is.

        What follows a `last` piece is a new stream. Raises ValueError on half a sample.
        """
        if len(pcm) % SAMPLE_BYTES:
            raise ValueError(f"{len(pcm)} bytes end in half a sample")
        if self._stream is None:
            return pcm
        samples = np.frombuffer(pcm, "<i2").astype(np.int16, copy=False)
        resampled: npt.NDArray[np.int16] = self._stream.resample_chunk(samples, last)
        if last:
            self._stream.clear()
        return resampled.astype("<i2", copy=False).tobytes()


def resample(pcm: bytes, rate_in: int, rate_out: int) -> bytes:
    """Change the rate of a whole sound."""
    return Resampler(rate_in, rate_out).feed(pcm, last=True)


def read_wav(path: str | Path) -> tuple[int, bytes]:
    """Read a WAV file of 8, 16, 24 or 32-bit PCM as (rate in Hz, PCM mixed down to mono).

    Raises OSError if it cannot be read, ValueError if it is no such file.
    """
    data = Path(path).read_bytes()
    try:
        with wave.open(io.BytesIO(_plain_format(data))) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is not a PCM WAV file: {error or 'cut off'}") from error
    if width not in (1, 2, 3, 4) or channels < 1 or rate < 1:
        raise ValueError(f"{path} is not a WAV file of 8 to 32-bit PCM")
    whole = len(frames) - len(frames) % (width * channels)
    samples = _as_float(frames[:whole], width).reshape(-1, channels).mean(axis=1)
    return rate, np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def write_wav(path: str | Path, rate: int, pcm: bytes) -> None:
    """Write `pcm` at `rate` Hz as a 16-bit mono WAV file. Raises OSError."""
    with Path(path).open("wb") as target, wave.open(target) as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(rate)
        file.writeframes(pcm)


def _plain_format(data: bytes) -> bytes:
    """Name the format in the first place a header has for it: `wave` looks nowhere else."""
    at = data.find(b"fmt ")
    extensible = data[at + 8 : at + 10] == b"\xfe\xff" and len(data) > at + 34
    if at < 0 or not extensible:
        return data
    return data[: at + 8] + data[at + 32 : at + 34] + data[at + 10 :]


def _as_float(frames: bytes, width: int) -> npt.NDArray[np.float64]:
    """Read integers of `width` bytes as floats in the range of 16 bits."""
    if width == 1:
        return (np.frombuffer(frames, np.uint8).astype(np.float64) - 128) * 256
    if width == 3:
        octets = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        # A low byte of nothing makes 32 bits of 24, the sign in its place.
        frames = np.insert(octets, 0, 0, axis=1).tobytes()
        width = 4
    return np.frombuffer(frames, f"<i{width}").astype(np.float64) / 256.0 ** (width - 2)
