"""One answer's voice: sentences in, Opus packets out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from xiaozhi.audio import SAMPLE_BYTES, Encoder, Resampler
from xiaozhi.channel import Channel
from xiaozhi.errors import ServiceError
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts import Samples, Sound, Speaker
from xiaozhi.settings import Audio
from xiaozhi.tooling import Clip

PIECES: Final = 10
"""Pieces that may wait to be encoded, and are then encoded in one go."""
PER_SECOND: Final = 10
"""How many pieces a second of sound is cut into: the first one is all that is waited for."""


class Speaking(Protocol):
    """What a `Voice` speaks with: the list of voices, or one of them."""

    def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        """Yield `sentence` as sound; raises ServiceError."""


class Solo:
    """One voice by itself, with nobody to stand in for it."""

    def __init__(self, speaker: Speaker) -> None:
        """Speak with `speaker`."""
        self._speaker = speaker

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        """Yield `sentence` as sound; raises ServiceError."""
        samples = Samples()
        async with aclosing(self._speaker.speak(sentence, language)) as pieces:
            async for piece in pieces:
                if pcm := samples.whole(piece):
                    yield Sound(self._speaker.rate, pcm)


class Voice:
    """Speak sentences one after the other, as one stream of packets.

    Encoding takes up to half a millisecond a frame, so it is done by `workers`: the first tenth
    of a second at once, then whatever came while that was encoded, up to about a second. So
    the first packet leaves early, and a fast speaker costs few hops to a thread and back.
    """

    def __init__(
        self,
        speech: Speaking,
        workers: Workers,
        audio: Audio,
        kept: Callable[[str], Sequence[bytes]] = lambda sentence: (),
        kept_last: bool = False,
    ) -> None:
        """Make packets of the format `audio` says; those of some sentences are `kept`.

        If they are in another voice than this one, they are the last resort (`kept_last`).
        """
        self._speech = speech
        self._workers = workers
        self._kept = kept
        self._kept_last = kept_last
        self._encoder = Encoder(
            audio.sample_rate, audio.frame_duration, audio.bitrate, audio.complexity
        )
        self._pcm = b""

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield the packets of `sentence`, the last filled up with silence.

        Raises ServiceError, also after a part of the sentence was yielded.
        """
        kept = self._kept(sentence)
        if self._kept_last or not kept:
            begun = False
            try:
                speaking = self._packets(self._speech.speak(sentence, language))
                async with aclosing(speaking) as made:
                    async for packet in made:
                        begun = True
                        yield packet
                return
            except ServiceError:
                if begun or not kept:
                    raise
        # They are another encoder's: what comes after them must not build on what was before.
        self._encoder.reset()
        for packet in kept:
            yield packet

    async def play(self, clip: Clip) -> AsyncGenerator[bytes, None]:
        """Yield the packets of music or the like; raises ServiceError."""

        async def sound() -> AsyncGenerator[Sound, None]:
            samples = Samples()
            async with aclosing(clip.pcm()) as pieces:
                async for piece in pieces:
                    if pcm := samples.whole(piece):
                        yield Sound(clip.rate, pcm)

        async with aclosing(self._packets(sound())) as made:
            async for packet in made:
                yield packet

    async def _packets(self, source: AsyncGenerator[Sound, None]) -> AsyncGenerator[bytes, None]:
        """Yield the packets of what `source` yields, the last filled up with silence."""
        sounds: Channel[Sound] = Channel(PIECES)
        listening = Deferred.fromCoroutine(self._listen(source, sounds))
        ended: Deferred[None] = Deferred()
        # A reader may be at its end within the close: it must not wait for the one that closes.
        listening.addErrback(lambda failure: sounds.close(failure.value))
        listening.addCallback(ended.callback)
        try:
            async with aclosing(self._encoded(sounds)) as encoded:
                async for packet in encoded:
                    yield packet
        finally:
            sounds.close()
            listening.cancel()
            await ended

    async def _listen(self, source: AsyncGenerator[Sound, None], sounds: Channel[Sound]) -> None:
        """Take what the source yields, while what it yielded before is encoded."""
        async with aclosing(source):
            async for rate, pcm in source:
                size = rate // PER_SECOND * SAMPLE_BYTES
                for start in range(0, len(pcm), size):
                    if not await sounds.put(Sound(rate, pcm[start : start + size])):
                        return
        sounds.close()

    async def _encoded(self, sounds: Channel[Sound]) -> AsyncGenerator[bytes, None]:
        resampler: Resampler | None = None
        self._pcm = b""
        async with aclosing(aiter(sounds)) as arriving:
            async for sound in arriving:
                if resampler is None:
                    resampler = Resampler(sound.rate, self._encoder.rate)
                pcm = b"".join([sound.pcm, *(more.pcm for more in sounds.take())])
                for packet in await self._workers.run(self._encode, resampler, pcm):
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
