"""Which languages a text is in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from xiaozhi import languages


class TagTests(TestCase):
    def test_primary(self) -> None:
        """A tag is cut to its language."""
        for tag, primary in {
            "zh-CN": "zh",
            "en_US.UTF-8": "en",
            " EN ": "en",
            "vi": "vi",
            "yue-HK": "yue",
            "C": "",
            "POSIX": "",
            "*": "",
            "": "",
        }.items():
            self.assertEqual(languages.primary(tag), primary, tag)

    def test_of_environment(self) -> None:
        """The first variable that is set decides; English where none names a language."""
        for environ, wanted in (
            ({}, "en"),
            ({"LANG": "zh_CN.UTF-8"}, "zh"),
            ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
            ({"LC_ALL": "", "LC_MESSAGES": "de_DE", "LANG": "zh_CN"}, "de"),
        ):
            self.assertEqual(languages.of_environment(environ), wanted)

    def test_accepted(self) -> None:
        """The most wanted language of a header counts, the first among equals."""
        for header, wanted in {
            "zh-CN": "zh",
            "en;q=0.5, vi": "vi",
            "en;q=0.5, vi;q=0.8, zh;q=0.7": "vi",
            "de, en": "de",
            "*, en;q=0.2": "en",
            "en;q=0": "",
            "en;q=x": "en",
            "": "",
        }.items():
            self.assertEqual(languages.accepted(header), wanted, header)


class SpokenTests(TestCase):
    def test_scripts(self) -> None:
        """Scripts tell languages."""
        for text, spoken in {
            "今天天气怎么样？": {"zh"},
            "What's the weather?": {"en"},
            "Thời tiết hôm nay thế nào?": {"vi"},
            "今日の天気は？": {"ja"},
            "ｶﾀｶﾅ": {"ja"},
            "오늘 날씨 어때?": {"ko"},
            "Какая погода?": {"ru"},
            "Τι καιρό κάνει;": {"el"},
            "كيف الطقس؟": {"ar"},
            "מה מזג האוויר?": {"he"},
            "อากาศเป็นอย่างไร": {"th"},
            "मौसम कैसा है?": {"hi"},
            "播放 Hotel California": {"zh", "en"},
            "𠮷": {"zh"},
            "3.14 + 2 = ?": set(),
            "": set(),
        }.items():
            self.assertEqual(languages.spoken(text), spoken, text)

    def test_the_usual_language_of_a_script(self) -> None:
        """Where a script is shared, it is taken for the usual language if that has it."""
        for text, usual, spoken in (
            ("Bonjour", "fr", {"fr"}),
            ("Bonjour", "zh", {"en"}),
            ("東京", "ja", {"ja"}),
            ("東京", "yue", {"yue"}),
            ("東京", "fr", {"zh"}),
            ("東京の", "zh", {"ja"}),
            ("東京の", "yue", {"ja"}),
            ("Привіт", "uk", {"uk"}),
            ("سلام", "fa", {"fa"}),
            ("Xin chào", "vi", {"vi"}),
            ("phở", "fr", {"vi"}),
        ):
            self.assertEqual(languages.spoken(text, usual), spoken, text)

    def test_main(self) -> None:
        """A text is answered in its own language; Latin names in it do not change that."""
        for text, usual, main in (
            ("今天天气怎么样", "en", "zh"),
            ("What's the weather?", "zh", "en"),
            ("12:30", "vi", "vi"),
            ("", "zh", "zh"),
            ("我想听 Taylor Swift 的歌", "en", "zh"),
            ("我想听 Taylor Swift 的歌", "zh", "zh"),
            ("播放 Hotel California by the Eagles", "zh", "zh"),
            ("What does 你好 mean?", "en", "en"),
            ("What does 你好 mean?", "zh", "zh"),
            ("Tôi rất yêu 北京", "en", "vi"),
            ("東京タワーはどこですか", "en", "ja"),
            ("你好 Привет", "ru", "ru"),
            ("hello 你好", "en", "en"),
        ):
            self.assertEqual(languages.main(text, usual), main, text)

    @settings(deadline=None)
    @given(st.text(), st.sampled_from(["zh", "en", "vi", "ja", "uk"]))
    def test_main_is_one_of_those_spoken(self, text: str, usual: str) -> None:
        """The main language is one of those in the text, or the usual one."""
        self.assertIn(languages.main(text, usual), languages.spoken(text, usual) | {usual})


class CanTests(TestCase):
    def test_can(self) -> None:
        """One who can do all languages needed will do, and so will one who can do any."""
        for those, needed, answer in (
            ({"*"}, {"zh", "en"}, True),
            ({"zh", "en"}, {"zh"}, True),
            ({"en"}, {"zh", "en"}, False),
            ({"en"}, set(), True),
            (set(), {"en"}, False),
        ):
            self.assertIs(languages.can(those, needed), answer)
