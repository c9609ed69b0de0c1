"""What the command prints."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.device import errors
from xiaozhi.device.playback import Frame
from xiaozhi.device.show import Show
from xiaozhi.device.turns import Event, Turn


def turn(*gaps: float) -> Turn:
    """Make a turn answered in half a second, with a frame of 60 ms for each gap before it."""
    frames = [Frame(0.0, 0.0, 60.0, gap) for gap in gaps]
    return Turn(0.0, speech_ended_at=1.0, first_audio_at=1.5, frames=frames, heard="hi")


class ShowTest(SynchronousTestCase):
    """Lines to read, and lines of JSON."""

    def setUp(self) -> None:
        self.lines: list[str] = []

    def show(self, *, as_json: bool = False, chinese: bool = False) -> Show:
        return Show(self.lines.append, as_json=as_json, chinese=chinese)

    def test_english(self) -> None:
        """Each thing has its line, and what does not matter has none."""
        show = self.show()
        show.event(Event(0, "stt", {"text": "hello"}))
        show.event(Event(0, "sentence", {"text": "Good day."}))
        show.event(Event(0, "activation", {"code": "123456", "message": "enter it"}))
        show.event(Event(0, "activation", {"code": "123456", "message": "enter 123456"}))
        show.event(Event(0, "state", {"state": "idle"}))
        show.turn(turn(0, 0))
        show.turn(turn(0, 0.25))
        self.assertEqual(
            self.lines,
            [
                "heard     hello\n",
                "answer    Good day.\n",
                "activate  enter it 123456\n",
                "activate  enter 123456\n",
                "timing    answered after 0.50 s, spoke 0.1 s, without a stall\n",
                "timing    answered after 0.50 s, spoke 0.1 s, with 1 stalls (0.25 s)\n",
            ],
        )

    def test_chinese(self) -> None:
        """The same in Chinese, in columns of the same width."""
        show = self.show(chinese=True)
        show.event(Event(0, "stt", {"text": "你好"}))
        show.event(Event(0, "configuration", {"url": "ws://x"}))
        show.turn(turn(0))
        self.assertEqual(
            self.lines,
            [
                "听到      你好\n",
                "服务器    ws://x\n",
                "用时      0.50 秒后开始回答，说了 0.1 秒，没有卡顿\n",
            ],
        )

    def test_json(self) -> None:
        """Every event but the frames is an object on a line of its own."""
        show = self.show(as_json=True)
        show.event(Event(1.23456, "stt", {"text": "你好"}))
        show.event(Event(1, "frame", {"pcm": b""}))
        show.turn(turn(0))
        show.ready()
        told = [json.loads(line) for line in self.lines]
        self.assertEqual(told[0], {"event": "stt", "at": 1.235, "text": "你好"})
        self.assertEqual((told[1]["event"], told[1]["delay"]), ("turn", 0.5))
        self.assertEqual(told[2:], [{"event": "ready"}])

    def test_failures(self) -> None:
        """Every failure has words and an exit code of its own, on one line."""
        kinds = (
            errors.Unreachable,
            errors.Refused,
            errors.NoAnswer,
            errors.BadFile,
            errors.HungUp,
            errors.NoSound,
            errors.Crashed,
        )
        for chinese in (False, True):
            said = [self.show(chinese=chinese).failure(kind("a\nb")) for kind in kinds]
            self.assertEqual(len(set(said)), len(kinds))
            self.assertTrue(all(line.endswith("a b") and "\n" not in line for line in said))
        codes = [kind.code for kind in kinds]
        self.assertEqual(len(set(codes) - {0, 1, 2}), len(kinds))

    def test_what_a_turn_lacks(self) -> None:
        """A turn that is not whole was not heard, or not answered."""
        show = self.show()
        self.assertIn("not answer", show.incomplete(turn()))
        self.assertIn("nothing", show.incomplete(Turn(0.0)))
