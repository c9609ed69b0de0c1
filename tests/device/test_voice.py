"""The user's voice."""

from __future__ import annotations

import importlib.util

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.device.errors import NoSound
from xiaozhi.device.voice import speak, voice_for


class VoiceTest(SynchronousTestCase):
    """Texts are spoken in their language."""

    def test_which_voice(self) -> None:
        """The script decides, and for Latin letters the user's language."""
        for text, language, voice in (
            ("hello", "", "en-us"),
            ("hello", "zh-CN", "en-us"),
            ("hello 你好", "en-US", "cmn+Annie"),
            ("こんにちは世界", "", "ja"),
            ("안녕", "", "ko"),
            ("привет", "", "ru"),
            ("Guten Tag", "de_DE", "de"),
            ("hello", "C", "en-us"),
        ):
            with self.subTest(text=text, language=language):
                self.assertEqual(voice_for(text, language), voice)

    def test_chinese(self) -> None:
        """Chinese is spoken, and again after that."""
        rate, pcm = speak("你好，小智")
        self.assertTrue(0.5 < len(pcm) / 2 / rate < 3)
        self.assertGreater(max(pcm), 0)
        self.assertLess(abs(len(speak("你好，小智")[1]) - len(pcm)), rate // 10)

    def test_english_without_piper(self) -> None:
        """Without Piper English is spoken too."""
        self.patch(
            importlib.util,
            "find_spec",
            lambda name, find=importlib.util.find_spec: None if name == "piper" else find(name),
        )
        rate, pcm = speak("hello my friend")
        self.assertTrue(0.5 < len(pcm) / 2 / rate < 3)

    def test_nothing_to_say(self) -> None:
        """A voice that does not exist, or a text of nothing, is refused."""
        self.assertRaises(NoSound, speak, "hello", "xx")
