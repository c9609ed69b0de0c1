"""What the server itself says."""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.languages import spoken
from xiaozhi.phrases import Key, Notice, everything, notice, phrase
from xiaozhi.sentences import Splitter
from xiaozhi.speakable import Cleaner


class Phrases(SynchronousTestCase):
    def test_both_languages(self) -> None:
        """Every phrase exists in Chinese and English; who speaks neither hears English."""
        for key in get_args(Key):
            self.assertEqual(spoken(phrase(key, "zh")), {"zh"})
            self.assertEqual(spoken(phrase(key, "en")), {"en"})
            self.assertEqual(phrase(key, "vi"), phrase(key, "en"))

    def test_notices(self) -> None:
        """What is only shown exists in both languages, and is never spoken."""
        texts = {text for text, _ in everything("en")}
        for key in get_args(Notice):
            self.assertEqual(spoken(notice(key, "zh")), {"zh"})
            self.assertEqual(notice(key, "vi"), notice(key, "en"))
            self.assertTrue(texts.isdisjoint({notice(key, "zh"), notice(key, "en")}))

    def test_everything(self) -> None:
        """All that may be spoken is listed once, as a whole and as an answer would cut it."""
        for first, order in (("zh", ["zh", "en"]), ("en", ["en", "zh"]), ("vi", ["en", "zh"])):
            listed = list(everything(first))
            self.assertEqual(len(set(listed)), len(listed))
            self.assertEqual(list(dict.fromkeys(language for _, language in listed)), order)
            for key in get_args(Key):
                for language in ("zh", "en"):
                    text = phrase(key, language)
                    cleaner, splitter = Cleaner(), Splitter()
                    cut = splitter.feed(cleaner.feed(text) + cleaner.flush())
                    for sentence in (text, *cut, *splitter.flush()):
                        self.assertIn((sentence, language), listed)
