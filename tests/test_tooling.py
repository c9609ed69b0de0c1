"""Tools, as all sources describe them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.tooling import LONGEST_NAME, Outcome, Tool, legal


async def _nothing(*_: object) -> Outcome:
    """Stand in for what a tool does."""
    return Outcome("")


class Names(SynchronousTestCase):
    def test_dots(self) -> None:
        """Models accept no dots, which the firmware's tools have."""
        self.assertEqual(legal("self.audio_speaker.set_volume"), "self_audio_speaker_set_volume")

    def test_nothing_legal(self) -> None:
        """A name without a legal character is one all the same."""
        self.assertEqual(legal("音乐"), "tool")

    def test_taken(self) -> None:
        """Two tools of one name are told apart."""
        self.assertEqual(legal("a.b", {"a_b"}), "a_b_2")
        self.assertEqual(legal("a.b", {"a_b", "a_b_2"}), "a_b_3")

    def test_long(self) -> None:
        """A long name is cut, and still unlike those that begin the same."""
        first = legal("x" * 100)
        second = legal("x" * 100, {first})
        self.assertEqual((len(first), len(second)), (LONGEST_NAME, LONGEST_NAME))
        self.assertNotEqual(first, second)

    def test_arguments(self) -> None:
        """A tool takes no arguments unless it says otherwise."""
        tool = Tool("x", "does x", _nothing)
        self.assertEqual(tool.schema, {"type": "object", "properties": {}})
