"""The microphone, on a clock that is moved by hand."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.audio import Decoder, packet_duration_ms
from xiaozhi.device.microphone import WARM_UP, Microphone


class MicrophoneTest(SynchronousTestCase):
    """A packet goes out every frame, whatever is in it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.packets: list[tuple[float, bytes]] = []
        self.spoken: list[float] = []
        self.microphone = self.make()

    def make(self, frame_ms: int = 60, *, live: bool = False) -> Microphone:
        return Microphone(
            self.clock,
            frame_ms,
            lambda packet: self.packets.append((round(self.clock.seconds(), 3), packet)),
            lambda: self.spoken.append(round(self.clock.seconds(), 3)),
            live=live,
        )

    def test_silence(self) -> None:
        """While it is on and nobody speaks, small packets of silence go out in real time."""
        self.microphone.switch(True)
        self.clock.pump([WARM_UP, *[0.06] * 20])
        times = [at for at, _ in self.packets]
        self.assertEqual(times[:3], [0.18, 0.24, 0.3])
        self.assertEqual(len(times), 21)
        self.assertLessEqual(min(len(packet) for _, packet in self.packets), 2)

    def test_speech(self) -> None:
        """Speech is cut into frames, the last filled up, and its end is told when it is sent."""
        self.microphone.say(b"\0\x20\0\xe0" * 1600)  # 0.2 s
        self.microphone.switch(True)
        self.clock.pump([WARM_UP, *[0.06] * 5])
        self.assertEqual(self.spoken, [0.36])
        decoder = Decoder()
        levels = [max(decoder.decode(packet)) for _, packet in self.packets[:4]]
        self.assertGreater(min(levels), 0)
        self.assertEqual({packet_duration_ms(packet) for _, packet in self.packets}, {60})

    def test_off(self) -> None:
        """Off, it sends nothing and leaves no call behind."""
        self.microphone.switch(True)
        self.microphone.switch(True)
        self.clock.advance(WARM_UP)
        self.microphone.switch(False)
        self.clock.advance(1.0)
        self.assertEqual(len(self.packets), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_off_at_the_end_of_speech(self) -> None:
        """Who hears that all is said may turn it off at once."""
        microphone = Microphone(
            self.clock, 20, lambda p: self.packets.append((0, p)), lambda: microphone.switch(False)
        )
        microphone.say(bytes(640))
        microphone.switch(True)
        self.clock.advance(1.0)
        self.assertEqual(len(self.packets), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_late_clock(self) -> None:
        """After a short delay nothing is missing; after a long one only what the queue holds."""
        self.microphone.switch(True)
        self.clock.advance(WARM_UP + 0.6)
        self.assertEqual(len(self.packets), 11)
        self.clock.advance(60)
        self.assertEqual(len(self.packets), 11 + 41)

    def test_live(self) -> None:
        """A live one sends what was captured, in whole frames, and keeps at most two seconds."""
        self.microphone = self.make(20, live=True)
        self.microphone.switch(True)
        self.clock.advance(WARM_UP)
        self.assertEqual(self.packets, [])
        self.microphone.say(bytes(640 * 3 // 2))
        self.clock.pump([0.02] * 3)
        self.assertEqual(len(self.packets), 1)
        self.microphone.hush()
        self.microphone.say(bytes(320000))
        self.clock.pump([0.02] * 200)
        self.assertEqual(len(self.packets), 101)
