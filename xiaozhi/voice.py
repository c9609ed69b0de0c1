"""One answer's voice: sentences in, Opus packets out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from xiaozhi.audio import SAMPLE_BYTES, Encoder, Resampler
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts import Speech
from xiaozhi.settings import Audio


class Voice:
    """Speak sentences one after the other, as one stream of packets.

    Encoding takes up to half a millisecond a frame, so it is done by `workers`, half a second
    of sound at a time: a whole sentence would keep the first frame waiting.
    """

    def __init__(self, speech: Speech, workers: Workers, audio: Audio) -> None:
        """Make packets of the format `audio` says."""
        self._speech = speech
        self._workers = workers
        self._encoder = Encoder(
            audio.sample_rate, audio.frame_duration, audio.bitrate, audio.complexity
        )
        self._pcm = b""

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the packets of `sentence`, the last filled up with silence.

        Raises ServiceError, also after a part of the sentence was yielded.
        """
        resampler: Resampler | None = None
        self._pcm = b""
        async with aclosing(self._speech.speak(sentence, language)) as sounds:
            async for sound in sounds:
                if resampler is None:
                    resampler = Resampler(sound.rate, self._encoder.rate)
                half_second = sound.rate // 2 * SAMPLE_BYTES
                for start in range(0, len(sound.pcm), half_second):
                    piece = sound.pcm[start : start + half_second]
                    for packet in await self._workers.run(self._encode, resampler, piece):
                        yield packet
        if resampler is not None:
            for packet in await self._workers.run(self._encode, resampler, b"", last=True):
                yield packet

    def _encode(self, resampler: Resampler, pcm: bytes, last: bool = False) -> list[bytes]:
        """Make all whole frames there are; runs in a thread, one call at a time."""
        self._pcm += resampler.feed(pcm, last)
        size = self._encoder.frame_bytes
        end = len(self._pcm) if last else len(self._pcm) - len(self._pcm) % size
        frames = [self._pcm[start : start + size] for start in range(0, end, size)]
        self._pcm = self._pcm[end:]
        return [self._encoder.encode(frame) for frame in frames]
