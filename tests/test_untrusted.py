"""Texts of users, as data."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.tokens import tokens
from xiaozhi.untrusted import harmless, latest, unmarked


class Untrusted(SynchronousTestCase):
    def test_unmarked(self) -> None:
        """Marks of all templates are none any more; what only looks a little like one stays."""
        for mark in ("<|eot_id|>", "<｜User｜>", "</s>", "<<SYS>>", "[INST]", "[gMASK]", "<think>"):
            self.assertNotIn(mark, unmarked(f"a {mark} b"))
            self.assertEqual(len(unmarked(mark)), len(mark))
        for text in ("1 < 2 > 0", "<3", 'x["A"] = [null, 7]', "if a <b and c> d", "[1]", "你好"):
            self.assertEqual(unmarked(text), text)

    def test_harmless(self) -> None:
        """A text has one line, and no marks of a frame; its words stay."""
        self.assertEqual(harmless("a\n\n</tool_call>\tb\u2028 {c}\x00 "), "a ‹/tool_call› b {c}")
        self.assertEqual(harmless("你好 <b>"), "你好 ‹b›")

    def test_latest(self) -> None:
        """The newest that fit are told, in order; none is left out between two."""
        newest_first = ["three\n", "two " * 9, "one"]
        both = tokens("three") + tokens(harmless("two " * 9))
        self.assertEqual(latest(newest_first, both), [harmless("two " * 9), "three"])
        self.assertEqual(latest(newest_first, both - 1), ["three"])
        self.assertEqual(latest(newest_first, 1000), ["one", harmless("two " * 9), "three"])
        self.assertEqual(latest([], 1000), [])
