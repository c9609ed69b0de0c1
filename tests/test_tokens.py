"""How many tokens a text is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.tokens import shorten, tokens


class Tokens(SynchronousTestCase):
    def test_scripts(self) -> None:
        """A token is about three and a half letters, or less than one and a half characters."""
        self.assertEqual(tokens(""), 0)
        self.assertEqual(tokens("a" * 35), 10)
        self.assertEqual(tokens("天" * 10), 7)
        self.assertEqual(tokens("天" * 10 + "a" * 35), 17)

    def test_shorten(self) -> None:
        """What is cut has so many tokens, and shows that it was cut."""
        self.assertEqual(shorten("short enough", 4), "short enough")
        for text in ("a long text " * 20, "很长的一段话" * 20, "两种 kinds " * 20):
            for most in (1, 2, 7, 20):
                short = shorten(text, most)
                self.assertLessEqual(tokens(short), most, short)
                self.assertTrue(short.endswith("…"))
                self.assertTrue(text.startswith(short[:-1]))
        self.assertEqual(shorten("a", 0), "")
