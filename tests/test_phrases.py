"""What the server itself says."""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.languages import spoken
from xiaozhi.phrases import Key, phrase


class Phrases(SynchronousTestCase):
    def test_both_languages(self) -> None:
        """Every phrase exists in Chinese and English; who speaks neither hears English."""
        for key in get_args(Key):
            self.assertEqual(spoken(phrase(key, "zh")), {"zh"})
            self.assertEqual(spoken(phrase(key, "en")), {"en"})
            self.assertEqual(phrase(key, "vi"), phrase(key, "en"))
