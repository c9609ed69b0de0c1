"""The loudspeaker's queue, in real time that is only told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.audio import Encoder
from xiaozhi.device.playback import QUEUE, Frame, Playback


def packet(frame_ms: int = 60) -> bytes:
    """Make one packet."""
    return Encoder(24000, frame_ms).encode(b"")


class PlaybackTest(SynchronousTestCase):
    """Packets sound one after another, and only so many can wait."""

    def setUp(self) -> None:
        self.frames: list[Frame] = []
        self.pcm: list[bytes] = []
        self.faults: list[str] = []
        self.playback = self.make()

    def make(self, *, decode: bool = True) -> Playback:
        def played(frame: Frame, pcm: bytes) -> None:
            self.frames.append(frame)
            self.pcm.append(pcm)

        return Playback(played, self.faults.append, decode=decode)

    def times(self) -> list[float]:
        return [round(frame.played, 3) for frame in self.frames]

    def test_in_real_time(self) -> None:
        """Frames that come at once are played one frame's duration apart."""
        for _ in range(3):
            self.playback.push(packet(), 10.0)
        self.assertEqual(self.times(), [10.0])
        self.playback.advance(10.2)
        self.assertEqual(self.times(), [10.0, 10.06, 10.12])
        self.assertEqual([len(pcm) for pcm in self.pcm], [2880] * 3)
        self.assertAlmostEqual(self.playback.silent_at(10.17) or 0, 10.18)
        self.assertIsNone(self.playback.silent_at(10.2))

    def test_an_empty_queue_is_a_gap(self) -> None:
        """A frame that comes after the queue ran empty tells how long there was silence."""
        self.playback.push(packet(), 0.0)
        self.playback.push(packet(), 0.05)
        self.playback.push(packet(), 0.32)
        self.assertEqual([round(frame.gap, 3) for frame in self.frames], [0, 0, 0.2])

    def test_a_full_queue_drops_the_newest(self) -> None:
        """Forty packets wait to be decoded and two to be played; the next is lost."""
        taken = [self.playback.push(packet(), 0.0) for _ in range(QUEUE + 3)]
        self.assertEqual(taken, [True] * (QUEUE + 1) + [False, False])
        self.playback.advance(60.0)
        self.assertEqual(len(self.frames), QUEUE + 1)

    def test_clear(self) -> None:
        """A new answer cuts off what still waits, and its first frame has no gap before it."""
        for _ in range(4):
            self.playback.push(packet(), 0.0)
        self.assertEqual(self.playback.clear(0.07), 2)
        self.assertIsNone(self.playback.silent_at(0.07))
        self.playback.push(packet(), 0.5)
        self.assertEqual((self.frames[-1].played, self.frames[-1].gap), (0.5, 0.0))

    def test_too_long_for_the_declared_frame(self) -> None:
        """A packet longer than hello declared is not played."""
        self.playback.configure(24000, 20)
        self.playback.push(packet(60), 0.0)
        self.playback.push(packet(20), 0.0)
        self.assertEqual(len(self.frames), 1)
        self.assertEqual(self.faults, ["a packet of 60 ms where hello declared 20"])

    def test_what_is_not_opus(self) -> None:
        """Rubbish is skipped without a pause."""
        self.playback.push(b"\xff\xff\xff", 0.0)
        self.playback.push(packet(), 0.0)
        self.assertEqual(self.times(), [0.0])
        self.assertEqual(len(self.faults), 1)

    def test_the_declared_rate(self) -> None:
        """Sound is decoded to the rate hello declared."""
        self.playback.configure(16000, 60)
        self.playback.push(packet(), 0.0)
        self.assertEqual(len(self.pcm[0]), 1920)

    def test_without_decoding(self) -> None:
        """Without decoding the same frames sound, without their PCM."""
        self.playback = self.make(decode=False)
        self.playback.push(packet(40), 0.0)
        self.assertEqual((self.frames[0].ms, self.pcm), (40.0, [b""]))
