"""Wake words in recognised text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from xiaozhi.wakewords import cut, same

WORDS = ("你好小智", "小智", "喵喵同学", "Hey Jarvis", "xin chào", "ねえ、ミク", "")


class SameTests(TestCase):
    def test_table(self) -> None:
        """A text that is but a wake word is told from one that says more."""
        for text, answer in {
            "你好小智": True,
            "你好，小智。": True,
            " 你 好 小 智 ！": True,
            "小智": True,
            "hey, jarvis!": True,
            "HEYJARVIS": True,
            "ＨＥＹ Ｊａｒｖｉｓ": True,
            "Xin cha\u0300o!": True,
            "ねえ ミク？": True,
            "你好小志": False,
            "你好小智开灯": False,
            "jarvis": False,
            "": False,
            "……": False,
        }.items():
            self.assertIs(same(text, WORDS), answer, text)

    def test_no_words(self) -> None:
        """Without wake words nothing is one."""
        self.assertFalse(same("你好小智", ()))


class CutTests(TestCase):
    def check(self, table: dict[str, str]) -> None:
        for text, rest in table.items():
            self.assertEqual(cut(text, WORDS), rest, text)

    def test_leading(self) -> None:
        """The wake word and the punctuation after it go; the rest stays as it was spoken."""
        self.check(
            {
                "你好小智，今天天气怎么样？": "今天天气怎么样？",
                "你好，小智！播放周杰伦的歌。": "播放周杰伦的歌。",
                "小智小智": "",
                "，你好小智。": "",
                "喵喵同学开灯": "开灯",
                "Hey Jarvis, what's the time?": "what's the time?",
                "hey jarvis... “Hello” is what?": "“Hello” is what?",
                "Xin chào, mấy giờ rồi?": "mấy giờ rồi?",
                "ねえミク、今何時？": "今何時？",
                "你好小智，-5加3": "-5加3",
                "hey jarvis打开灯": "打开灯",
                "": "",
            }
        )

    def test_repeated(self) -> None:
        """However often it is called, all calls go."""
        self.check(
            {
                "你好小智，你好小智！小智，开灯": "开灯",
                "Hey Jarvis hey jarvis lights on": "lights on",
            }
        )

    def test_one_wrong_character(self) -> None:
        """One wrong character in a word of four is forgiven; in an alphabet one more or less."""
        self.check(
            {
                "你好小志，开灯": "开灯",
                "你号小智开灯": "开灯",
                "妙喵同学": "",
                "Hey Jervis, lights on": "lights on",
                "Hey Jarviss, lights on": "lights on",
                "Hey Javis lights on": "lights on",
                "xin chao, mấy giờ": "mấy giờ",
                "你好小志，小智小智，开灯": "开灯",
            }
        )

    def test_two_wrong_characters(self) -> None:
        """Two are not forgiven, nor one in a short word."""
        self.check(
            {
                "你好晓志，开灯": "你好晓志，开灯",
                "小志，开灯": "小志，开灯",
                "Hey Travis, lights on": "Hey Travis, lights on",
            }
        )

    def test_words_end_where_words_end(self) -> None:
        """In an alphabet a wake word is no beginning of a longer word."""
        self.check({"Hey Jarvistown is far": "Hey Jarvistown is far"})

    def test_elsewhere(self) -> None:
        """A wake word in the middle stays."""
        self.check({"请问小智是谁？": "请问小智是谁？", "  今天": "  今天"})

    def test_the_exact_word_wins(self) -> None:
        """An exact word is preferred to a longer one that is nearly there."""
        self.assertEqual(cut("小智同志你好", ("小智", "小智同学")), "同志你好")

    @settings(deadline=None)
    @given(st.text())
    def test_no_loss(self, text: str) -> None:
        """Without wake words a text is returned as it is."""
        self.assertEqual(cut(text, ()), text)
        self.assertEqual(cut("你好小智" + "，开" + text, ("你好小智",)), cut("开" + text, ()))
