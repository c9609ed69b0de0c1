"""The one way out."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.link import PATIENCE, Link
from xiaozhi.messages import TTS_START, Pong


class FakeSocket:
    """Records what is done to a WebSocket."""

    def __init__(self) -> None:
        self.open = True
        self.done: list[object] = []

    def can_send(self) -> bool:
        return self.open

    def write(self, payload: bytes, binary: bool) -> None:
        self.done.append(payload if binary else payload.decode())

    def say_goodbye(self, code: int, reason: str) -> None:
        self.done.append((code, reason))

    def abort(self) -> None:
        self.done.append("abort")


class LinkTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.socket = FakeSocket()
        self.link = Link(self.socket, "s1", self.clock)

    def test_send(self) -> None:
        """Messages carry the session id; sound is framed as the device declared."""
        self.assertTrue(self.link.send(TTS_START))
        self.link.version = 3
        self.assertTrue(self.link.sound(b"ab", 5))
        self.assertEqual(
            self.socket.done,
            ['{"type":"tts","session_id":"s1","state":"start"}', b"\0\0\0\x02ab"],
        )
        self.assertEqual((self.link.sent, self.link.dropped), (1, 0))

    def test_closed_socket(self) -> None:
        """On a closed socket nothing is sent, nothing is raised, and the sender knows."""
        self.socket.open = False
        self.assertFalse(self.link.send(Pong()))
        self.assertFalse(self.link.sound(b"ab", 5))
        self.link.close(1000)
        self.assertEqual(self.socket.done, [])
        self.assertEqual((self.link.sent, self.link.dropped), (0, 2))

    def test_slow_reader(self) -> None:
        """A reader that stalls gets no sound and a few messages; when it reads, all is well."""
        self.link.pauseProducing()
        self.assertFalse(self.link.sound(b"ab", 5))
        self.assertTrue(all(self.link.send(Pong()) for _ in range(64)))
        self.assertNotIn("abort", self.socket.done)
        self.link.resumeProducing()
        self.assertTrue(self.link.send(Pong()))
        self.assertTrue(self.link.sound(b"ab", 5))
        self.clock.advance(PATIENCE * 2)
        self.assertNotIn("abort", self.socket.done)

    def test_no_message_is_left_out(self) -> None:
        """A reader with too much waiting is cut off: without `tts stop` it would be stuck."""
        self.link.pauseProducing()
        for _ in range(65):
            self.link.send(Pong())
        self.assertIn("abort", self.socket.done)

    def test_timestamps(self) -> None:
        """Timestamps count the sound that was sent, from one answer to the next."""
        self.link.version = 2
        for _ in range(3):
            self.link.sound(b"ab", 60)
        stamps = [int.from_bytes(frame[8:12], "big") for frame in self.socket.done]  # type: ignore[index]
        self.assertEqual(stamps, [60, 120, 180])

    def test_stalled_reader(self) -> None:
        """A reader that does not recover is cut off."""
        self.link.pauseProducing()
        self.link.pauseProducing()
        self.clock.advance(PATIENCE - 1)
        self.assertEqual(self.socket.done, [])
        self.clock.advance(1)
        self.assertEqual(self.socket.done, ["abort"])
        self.link.resumeProducing()

    def test_stalls_at_goodbye(self) -> None:
        """A reader that stalls when all was said is not waited for."""
        self.link.closed()
        self.socket.open = False
        self.link.pauseProducing()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_timer_is_left(self) -> None:
        """When the socket is gone, so is the timer."""
        for end in (self.link.closed, self.link.stopProducing):
            self.link.pauseProducing()
            end()
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.link.close(1000, "bye")
        self.assertEqual(self.socket.done, [(1000, "bye")])
