"""One session's ears: Opus packets in, "speech began" and "speech ended" out, the sound kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xiaozhi.audio import SAMPLE_BYTES, Decoder
from xiaozhi.endpointing import Endpointer, Hush, Limits, Pause, Resume, Speech
from xiaozhi.errors import BadMessage
from xiaozhi.recording import BYTES_PER_SECOND, Recording
from xiaozhi.services.asr import RATE, Recognition, Transcript
from xiaozhi.services.vad import Detector, Listener

_WAKE_WORD = 0.4
"""Seconds of sound, at least, that a device sends with its wake word (up to two)."""
_AT_ONCE = 0.2
"""Seconds of sound that are looked at for voice in one go: a millisecond's work."""


class Preroll:
    """The last two seconds of sound, so that no first word is lost."""

    def __init__(self, seconds: float = 2.0) -> None:
        """Keep `seconds` of sound, and none that came longer ago than that."""
        self._seconds = seconds
        # A list, as elsewhere in a session: an empty deque has 760 bytes, for each idle device.
        self._pieces: list[tuple[float, bytes]] = []
        self._bytes = 0

    def keep(self, pcm: bytes, now: float) -> None:
        """Add the newest piece; the oldest make room."""
        self._pieces.append((now, pcm))
        self._bytes += len(pcm)
        while self._bytes > self._seconds * BYTES_PER_SECOND:
            self._bytes -= len(self._pieces.pop(0)[1])

    def pieces(self, now: float) -> list[bytes]:
        """Give what was kept, oldest first; sound of an earlier talk is not part of it."""
        return [pcm for came, pcm in self._pieces if now - came <= self._seconds]

    def clear(self) -> None:
        """Forget it."""
        self._pieces.clear()
        self._bytes = 0


class Ears:
    """Hear one device. Times (`now`) are the clock's seconds."""

    def __init__(self, detector: Detector, limits: Limits) -> None:
        """Listen with a voice detector of this session's own."""
        # Both are made with the first packet: a device that only waits costs no memory for them.
        self._decoder: Decoder | None = None
        self._listener: Listener | None = None
        self._detector = detector
        self._rest = b""
        self._limits = limits
        self._endpointer = Endpointer(limits)
        self._preroll = Preroll()
        self._unseen: list[bytes] = []
        """Sound that was not looked at for voice yet."""
        self._recording: Recording | None = None
        """The utterance under way, or the last one until it was answered."""
        self.corrupt = 0
        """Packets that were not Opus."""

    @property
    def voiced(self) -> float:
        """Seconds of voice since `listen`."""
        return self._endpointer.voiced

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way."""
        return self._endpointer.speaking

    def follows_sound(self, now: float) -> bool:
        """Say whether as much sound as a wake word's was kept just now, not a stray packet."""
        return _seconds(self._preroll.pieces(now)) >= _WAKE_WORD

    def keep(self, packet: bytes, now: float) -> None:
        """Remember a packet without listening to it."""
        if pcm := self._decode(packet):
            self._preroll.keep(pcm, now)

    def feed(self, packet: bytes, now: float) -> Iterator[Speech | Hush]:
        """Listen to a packet; yield what it shows."""
        if pcm := self._decode(packet):
            if self._recording is not None and self._recording.live:
                self._recording.feed(pcm)
            else:
                self._preroll.keep(pcm, now)
            self._unseen.append(pcm)
            yield from self.go_on(now)

    @property
    def behind(self) -> bool:
        """Whether there is sound that was not looked at for voice: to `go_on` with, soon."""
        return bool(self._unseen)

    def go_on(self, now: float) -> Iterator[Speech | Hush]:
        """Look for voice in the next of what came, and yield what it shows."""
        seen = 0.0
        while self._unseen and seen < _AT_ONCE:
            pcm = self._unseen.pop(0)
            seen += len(pcm) / BYTES_PER_SECOND
            yield from self._detect(pcm, now)

    def listen(self, now: float, kept: bool = False) -> Iterator[Speech | Hush]:
        """Wait for an utterance; with `kept`, look for it first in what was kept."""
        self._forget()
        self._endpointer.arm(now)
        if kept:
            self._unseen.extend(self._preroll.pieces(now))
            yield from self.go_on(now)

    def open(
        self, recognition: Recognition, language: str, now: float, by_device: bool, resume: bool
    ) -> None:
        """Hear an utterance from its kept beginning on; its user's `language` is a hint.

        `resume`: it is the last one, which goes on; its sound comes first.
        """
        sound = self._preroll.pieces(now)
        self._preroll.clear()
        if by_device:
            self._endpointer.arm(now, by_device=True)
            self._unseen.extend(sound)
        if resume and self._recording is not None:
            sound = [*self._recording.sound, *sound]
        self._forget()
        recording = self._recording = Recording(recognition, language, sound, self._limits.longest)
        # What is still to be looked at will be counted then.
        self._endpointer.begin(now, recording.length - _seconds(self._unseen))

    def endpoint(self, by_device: bool) -> None:
        """Let a button end the utterance under way, or silence."""
        self._endpointer.by_device = by_device

    async def finish(self, now: float) -> Transcript:
        """Get the text of the utterance; raises ServiceError."""
        while self.behind:
            for _ in self.go_on(now):
                pass  # it is over, whatever else it shows
        voiced = self._endpointer.voiced
        self._endpointer.arm(now)
        if self._recording is None:
            return Transcript("", "")
        if not voiced:
            # Recognisers make up words for pure silence: they are not asked.
            self._recording.release()
        return await self._recording.finish()

    def drop(self) -> None:
        """Give the recogniser up; the sound is kept, as the user may go on."""
        if self._recording is not None:
            self._recording.release()

    def clear(self, now: float) -> None:
        """Forget all sound."""
        self._forget()
        self._preroll.clear()
        self._unseen.clear()
        self._rest = b""
        self._listener = None
        self._endpointer.arm(now)

    def deadline(self) -> float | None:
        """Tell when to ask `overdue`; None while no utterance is under way."""
        return self._endpointer.deadline()

    def overdue(self, now: float) -> Hush | None:
        """End an utterance whose sound stopped coming."""
        return self._endpointer.overdue(now)

    def _forget(self) -> None:
        self.drop()
        self._recording = None

    def _decode(self, packet: bytes) -> bytes:
        if self._decoder is None:
            self._decoder = Decoder(RATE)
        try:
            return self._decoder.decode(packet)
        except BadMessage:
            self.corrupt += 1
            return b""

    def _detect(self, pcm: bytes, now: float) -> Iterator[Speech | Hush]:
        if self._listener is None:
            self._listener = self._detector.open()
        piece = self._detector.samples * SAMPLE_BYTES
        sound = self._rest + pcm
        end = len(sound) - len(sound) % piece
        self._rest = sound[end:]
        length = piece / BYTES_PER_SECOND
        for start in range(0, end, piece):
            probability = self._listener.probability(sound[start : start + piece])
            match self._endpointer.push(probability, length, now):
                case Pause() if self._recording is not None:
                    self._recording.pause()
                case Resume() if self._recording is not None:
                    self._recording.resume()
                case Speech() | Hush() as edge:
                    yield edge


def _seconds(sound: Iterable[bytes]) -> float:
    return sum(map(len, sound)) / BYTES_PER_SECOND
