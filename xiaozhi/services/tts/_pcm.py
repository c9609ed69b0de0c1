"""The PCM in an answer: as it is, or in a WAV file, piece by piece."""

from __future__ import annotations

import re
from typing import Final

from xiaozhi.errors import ServiceError
from xiaozhi.services.tts import Samples

_RIFF: Final = 12
_CHUNK: Final = 8
_FORMAT: Final = 16
_LONGEST: Final = 65536
"""A header longer than this is none."""
_ENDLESS: Final = frozenset({0, 0x7FFFFFFF, 0xFFFFFFFF})
"""Sizes given by those who did not know yet how much it would be."""
_OTHERS: Final = {
    b"ID3": "MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"<!DOC": "a web page",
    b"<html": "a web page",
    b'{"': "JSON",
}
_MP3: Final = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]")
"""An MP3 that begins with a frame. No voice begins with so loud a sample, but by a rare chance."""
_EXTENSIBLE: Final = 0xFFFE


class Unwrapper:
    """Take the bytes of one answer; give whole samples of 16-bit mono PCM.

    A WAV header is read and taken off, and what follows the samples is left away. Every
    method raises ServiceError for sound in another format.
    """

    def __init__(self, rate: int) -> None:
        """Expect samples at `rate` Hz."""
        self._rate = rate
        self._samples = Samples()
        self._head: bytes | None = b""
        self._left: int | None = None
        """Bytes of samples still to come, if a header has told."""

    def feed(self, piece: bytes) -> bytes:
        """Return the samples that `piece` completes, perhaps none."""
        if self._head is not None:
            self._head += piece
            begin = self._begin(self._head)
            if begin is None:
                return b""
            piece, self._head = self._head[begin:], None
        if self._left is not None:
            piece = piece[: self._left]
            self._left -= len(piece)
        return self._samples.whole(piece)

    def finish(self) -> bytes:
        """Return what was held back because it might have been the beginning of a header."""
        head, self._head = self._head, None
        if head and head[:4] == b"RIFF":
            raise ServiceError("tts", "a WAV file without sound")
        return self._samples.whole(head or b"")

    def _begin(self, head: bytes) -> int | None:
        """Say where the samples begin; None if more must be known."""
        for magic, name in _OTHERS.items():
            if head.startswith(magic):
                raise ServiceError("tts", f"{name} instead of PCM")
        if _MP3.match(head):
            raise ServiceError("tts", "MP3 instead of PCM")
        if not b"RIFF".startswith(head[:4]):
            return None if len(head) < max(map(len, _OTHERS)) else 0
        return self._data(head)

    def _data(self, head: bytes) -> int | None:
        """Walk the chunks of a WAV file to its samples."""
        at = _RIFF
        while at + _CHUNK <= len(head):
            name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + _CHUNK], "little")
            at += _CHUNK
            if name == b"data":
                self._left = None if size in _ENDLESS else size
                return at
            if name == b"fmt ":
                if at + _FORMAT > len(head):
                    return None
                self._check(head[at : at + _FORMAT])
            at += size + size % 2
            if at > _LONGEST:
                raise ServiceError("tts", "a WAV file without sound")
        return None

    def _check(self, form: bytes) -> None:
        code, channels = form[0] | form[1] << 8, form[2] | form[3] << 8
        rate, bits = int.from_bytes(form[4:8], "little"), form[14] | form[15] << 8
        if code not in (1, _EXTENSIBLE) or channels != 1 or bits != 16:
            raise ServiceError("tts", f"{channels} channels of {bits} bits instead of 1 of 16")
        if rate != self._rate:
            raise ServiceError("tts", f"sound at {rate} Hz: set rate to {rate}")
