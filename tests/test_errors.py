"""How failures are said."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import BadMessage, ConfigError, ServiceError, Unavailable, missing
from xiaozhi.mistakes import words


class Errors(SynchronousTestCase):
    def test_said(self) -> None:
        """Each says what went wrong, and where it has parts, has them."""
        failure = ServiceError("asr", "no answer")
        self.assertEqual(
            (str(failure), failure.stage, failure.why), ("asr: no answer", "asr", "no answer")
        )
        wrong = ConfigError([words("other", why="a:1: x"), words("no_ids")])
        self.assertEqual(wrong.problems, ("a:1: x", "must be ids of devices"))
        self.assertEqual(str(wrong), "\n".join(wrong.problems))
        self.assertEqual(wrong.said("zh"), "a:1: x\n必须是设备编号")
        self.assertEqual(str(BadMessage("why")), "why")
        self.assertEqual(str(Unavailable("why")), "why")
        self.assertEqual(Unavailable("why").said("zh"), "why")

    def test_missing(self) -> None:
        """What is missing is said in the operator's language, with how to get it."""
        lacking = missing("piper-tts", "piper-tts a-voice")
        self.assertEqual(
            lacking.said("en"), "piper-tts is not installed: pip install piper-tts a-voice"
        )
        self.assertEqual(lacking.said("zh"), "没有安装 piper-tts：pip install piper-tts a-voice")
