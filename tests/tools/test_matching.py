"""Names as they were heard or written, found among those there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.tools._matching import best, plain, ranked


class MatchingTests(SynchronousTestCase):
    def test_meant(self) -> None:
        """What is meant is found, however it is written."""
        names = (
            "稻香",
            "晴天",
            "Feeling Good",
            "Beyoncé",
            "我的中国心",
            "ＡＢＣ",
            "Hello, Goodbye",
        )
        for wanted, name in (
            ("稻香", "稻香"),
            ("feeling  good!", "Feeling Good"),
            ("felling good", "Feeling Good"),
            ("beyonce", "Beyoncé"),
            ("我中国心", "我的中国心"),
            ("abc", "ＡＢＣ"),
            ("play hello goodbye", "Hello, Goodbye"),
            ("晴朗", None),
            ("国", None),
            ("", None),
            ("!?", None),
            ("Yesterday", None),
        ):
            self.assertEqual(best(wanted, [(one, one) for one in names]), name, wanted)

    def test_order(self) -> None:
        """The same is likest, then what holds it, then what is like it."""
        names = ["Moonlight Sonata", "Moonlit", "Moonlight", "Sunlight"]
        found = ranked("moonlight", [(one, one) for one in names])
        self.assertEqual(
            [name for _, name in found][:3], ["Moonlight", "Moonlight Sonata", "Moonlit"]
        )

    def test_several_names(self) -> None:
        """A thing of several names is found once, by the likest of them."""
        thing, other = ["lamp"], ["other"]
        named = [("Lamp", thing), ("Desk Lamp", thing), ("Lump", other)]
        self.assertEqual([(1.0, thing)], ranked("desk lamp", named)[:1])
        self.assertEqual(len(ranked("lamp", named)), 2)

    @given(st.text(), st.text())
    def test_likeness(self, one: str, other: str) -> None:
        """Likeness is from 0 to 1, and 1 for the same only."""
        found = ranked(one, [(other, other)])
        same = plain(one) == plain(other) != ""
        self.assertEqual([like for like, _ in found if like == 1], [1.0] if same else [])
        self.assertTrue(all(0.6 <= like <= 1 for like, _ in found))
