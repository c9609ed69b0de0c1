"""Files and streams -> 16-bit mono sound, in pieces: each is decoded in the pool when it is wanted.

Nothing here keeps a thread waiting: sound that comes over a network is decoded only when there
is enough of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from xiaozhi.errors import ServiceError
from xiaozhi.services.pool import Workers

RATE: Final = 24000
"""Samples per second, of which each is two bytes."""
PIECE: Final = RATE // 2
"""Samples of a piece: half a second."""
KINDS: Final = frozenset({".mp3", ".flac", ".ogg", ".wav"})
"""Endings of the files that can be played."""

_ENOUGH: Final = 28 * 2**10
"""Bytes that must have come before a piece is decoded. Half a second of MP3 is 20,000 at most (320
kbit/s), and a decoder that finds none left takes that for the end."""
_READ: Final = 4096

_Samples = Generator[Any, Any, None]


async def of_file(pool: Workers, path: Path, start: float = 0.0) -> AsyncGenerator[bytes, None]:
    """Yield the sound of a file from `start` (seconds) on; raise ServiceError."""
    decoder = _Decoder(pool)
    try:
        await decoder.open(lambda: _opened(path, start))
        while piece := await decoder.piece():
            yield piece
    finally:
        decoder.close()


async def of_stream(
    pool: Workers, source: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Yield the sound of an MP3 that comes in pieces, until it ends; raise ServiceError.

    What has come and is not wanted yet is little: then the source is not read.
    """
    feed = _Feed()
    decoder = _Decoder(pool)
    begun = False
    try:
        async with aclosing(source):
            async for data in source:
                feed.add(data)
                while len(feed) >= _ENOUGH:
                    if not begun:
                        await decoder.open(feed.decoded)
                        begun = True
                    if not (piece := await decoder.piece()):
                        return
                    yield piece
        if not begun:  # it was short
            await decoder.open(feed.decoded)
        while piece := await decoder.piece():
            yield piece
    finally:
        decoder.close()


class _Feed:
    """Holds what has come of an MP3. Only one thread at a time has to do with it."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    def take(self, count: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def decoded(self) -> _Samples:
        """Decode what is fed: for a thread."""
        import miniaudio

        feed = self

        class Source(miniaudio.StreamableSource):  # type: ignore[misc]  # miniaudio has no types
            def read(self, num_bytes: int) -> bytes:
                # Little at a time, so that no more is taken than is needed.
                return feed.take(min(num_bytes, _READ))

        source = Source()
        samples: _Samples = miniaudio.stream_any(
            source,
            miniaudio.FileFormat.MP3,
            nchannels=1,
            sample_rate=RATE,
            frames_to_read=PIECE,
        )
        return _holding(source, samples)


def _holding(source: object, samples: _Samples) -> _Samples:
    """Keep the source while it is read: miniaudio does not, and C reads it by its address."""
    try:
        yield from samples
    finally:
        samples.close()
        del source


class _Decoder:
    """Decodes piece by piece, each in a thread."""

    def __init__(self, pool: Workers) -> None:
        self._pool = pool
        self._samples: _Samples | None = None
        self._busy = False

    async def open(self, make: Callable[[], _Samples]) -> None:
        """Begin, in a thread."""
        self._samples = await self._pool.run(_tried, make)

    async def piece(self) -> bytes:
        """Decode the next piece; b"" at the end."""
        assert self._samples is not None
        self._busy = True
        piece = await self._pool.run(_next, self._samples)
        self._busy = False
        return piece

    def close(self) -> None:
        """Let go of the source. If a thread is in it, that is what happens when it has done."""
        samples, self._samples = self._samples, None
        if samples is not None and not self._busy:
            samples.close()


def _opened(path: Path, start: float) -> _Samples:
    import miniaudio

    # To seek beyond the end would leave the file open.
    if start and start >= miniaudio.get_file_info(str(path)).duration:
        start = 0.0
    samples: _Samples = miniaudio.stream_file(
        str(path),
        miniaudio.SampleFormat.SIGNED16,
        nchannels=1,
        sample_rate=RATE,
        frames_to_read=PIECE,
        seek_frame=int(start * RATE),
    )
    return samples


def _tried(make: Callable[[], _Samples]) -> _Samples:
    """Make a decoder: for a thread."""
    import miniaudio

    try:
        return make()
    except (miniaudio.MiniaudioError, OSError) as error:
        raise ServiceError("tool", f"this is no sound that can be played: {error}") from error


def _next(samples: _Samples) -> bytes:
    """Decode a piece: for a thread."""
    import miniaudio

    try:
        piece = next(samples, None)
    except miniaudio.MiniaudioError as error:
        raise ServiceError("tool", f"the sound is broken: {error}") from error
    return b"" if piece is None else bytes(piece.tobytes())
