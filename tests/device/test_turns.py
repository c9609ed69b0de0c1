"""The firmware's interruptions, losses and tools, and the record of its turns."""

from __future__ import annotations

from tests.device.cases import PACKET, FirmwareCase
from xiaozhi.device.firmware import State


class WakeTest(FirmwareCase):
    """The wake word."""

    def test_from_idle(self) -> None:
        """The last 33 packets of its sound, then `detect`, then `listen start`."""
        device = self.make(listening=False)
        device.wake("你好小智", [bytes([n]) for n in range(40)], 1.0)
        detect = {"type": "listen", "state": "detect", "text": "你好小智"}
        start = {"type": "listen", "state": "start", "mode": "auto"}
        self.assertEqual(self.sent(), [*(bytes([n]) for n in range(7, 40)), detect, start])

    def test_while_speaking(self) -> None:
        """It aborts the answer, and listens when what is queued has been played."""
        device = self.make()
        self.tts(device, "start", 1.0)
        device.receive_frame(PACKET, 1.0)
        device.wake("你好小智", [], 1.0)
        device.tick(1.06)
        start = {"type": "listen", "state": "start", "mode": "auto"}
        abort = {"type": "abort", "reason": "wake_word_detected"}
        self.assertEqual(self.sent(), [abort, start])

    def test_while_listening(self) -> None:
        """It aborts, and `listen start` follows at once."""
        device = self.make()
        device.wake("你好小智", [b"x"], 1.0)
        start = {"type": "listen", "state": "start", "mode": "auto"}
        abort = {"type": "abort", "reason": "wake_word_detected"}
        self.assertEqual(self.sent(), [abort, start])


class LossTest(FirmwareCase):
    """The channel goes away."""

    def test_in_the_middle_of_an_answer(self) -> None:
        """The device is idle, and the turn never ends."""
        device = self.make()
        turn = device.turns.begin(0.0)
        self.tts(device, "start", 1.0)
        device.lost(2.0)
        self.assertIs(device.state, State.IDLE)
        device.tick(3.0)
        self.assertEqual((turn.ended_at, turn.whole), (None, False))

    def test_after_an_answer(self) -> None:
        """What is queued still plays: the turn is whole."""
        device = self.make()
        turn = device.turns.begin(0.0)
        self.tts(device, "start", 1.0)
        for _ in range(3):
            device.receive_frame(PACKET, 1.0)
        self.tts(device, "stop", 1.0)
        device.lost(1.01)
        self.assertTrue(turn.whole)
        self.assertAlmostEqual(turn.ended_at or 0, 1.18)


class TurnTest(FirmwareCase):
    """What is told of a turn."""

    def test_the_record(self) -> None:
        """Everything the server said of a turn is in its record, with the times."""
        device = self.make()
        turn = device.turns.begin(0.5)
        device.turns.spoken(1.0)
        self.tell(device, {"type": "stt", "text": "hello"}, 1.4)
        self.tell(device, {"type": "llm", "emotion": "happy", "text": "x"}, 1.5)
        self.tts(device, "start", 1.5)
        self.tts(device, "sentence_start", 1.5, text="Good ")
        device.receive_frame(PACKET, 1.75)
        self.tts(device, "sentence_start", 1.8, text="day.")
        device.receive_frame(PACKET, 2.01)
        self.tts(device, "stop", 2.01)
        device.tick(2.07)
        self.assertEqual(
            turn.summary(),
            {
                "heard": "hello",
                "answer": "Good day.",
                "sentences": ["Good ", "day."],
                "emotion": "happy",
                "delay": 0.75,
                "seconds": 0.12,
                "frames": 2,
                "stalls": [2.01 - 1.81],
                "lost": 0,
                "interrupted": False,
            },
        )
        self.assertTrue(turn.whole)
        self.assertEqual(len(turn.pcm), 2 * 2880)

    def test_the_server_speaks_by_itself(self) -> None:
        """An answer to nothing that was asked is kept apart, with what was overheard."""
        device = self.make()
        self.tell(device, {"type": "stt", "text": "hello"})
        self.tts(device, "start", 1.0)
        self.tts(device, "stop", 1.0)
        (turn,) = device.turns.unasked
        self.assertEqual((turn.asked, turn.heard, turn.whole), (False, "hello", False))

    def test_a_question_over_an_answer(self) -> None:
        """The rest of an answer belongs to the question before, which ends interrupted."""
        device = self.make("realtime")
        first = device.turns.begin(0.0)
        self.tts(device, "start", 1.0)
        second = device.turns.begin(1.5)
        self.tts(device, "sentence_start", 1.6, text="old")
        self.tts(device, "stop", 1.7)
        self.assertEqual((first.ended_at, first.interrupted, first.answer), (1.7, True, "old"))
        self.assertIsNone(second.ended_at)
        self.tts(device, "start", 2.0)
        self.tts(device, "stop", 2.1)
        self.assertEqual((second.ended_at, second.interrupted), (2.1, False))

    def test_an_alert(self) -> None:
        """An alert is shown if it has all its texts."""
        device = self.make()
        self.tell(device, {"type": "alert", "status": "a", "message": "b", "emotion": "c"})
        self.assertEqual(self.events[-1].name, "alert")
        self.tell(device, {"type": "alert", "status": "a", "message": "b"})
        self.assertEqual(len(self.complaints()), 1)

    def test_a_full_queue(self) -> None:
        """Frames that find the queue full are counted as lost."""
        device = self.make()
        turn = device.turns.begin(0.0)
        self.tts(device, "start", 1.0)
        for _ in range(45):
            device.receive_frame(PACKET, 1.0)
        self.assertEqual(turn.lost, 2)
        self.assertIn("the queue is full", self.complaints()[0])


class McpTest(FirmwareCase):
    """Tools are called through the same channel."""

    def test_a_call(self) -> None:
        """A request in an `mcp` message is answered in one."""
        device = self.make()
        payload = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        payload |= {"params": {"name": "self.audio_speaker.set_volume", "arguments": {"volume": 3}}}
        self.tell(device, {"type": "mcp", "payload": payload})
        result = {"content": [{"type": "text", "text": "true"}], "isError": False}
        reply = {"jsonrpc": "2.0", "id": 1, "result": result}
        self.assertEqual(self.sent(), [{"type": "mcp", "payload": reply}])
