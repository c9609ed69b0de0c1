"""Conversations that are too long for a model."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.services.llm.contract import TIME
from xiaozhi.services.llm import Message
from xiaozhi.services.llm.fitting import fitting
from xiaozhi.services.llm.tooltext import Form
from xiaozhi.tooling import Call

TALK = [
    Message("system", "s" * 30),
    Message("user", "a" * 30),
    Message("assistant", "b" * 30),
    Message("user", "c" * 30),
]
"""Each about 18 tokens."""
FORMS: tuple[Form, ...] = ("native", "text", "none")


class FittingTests(SynchronousTestCase):
    def test_all(self) -> None:
        """A conversation that fits is left as it is."""
        self.assertEqual(fitting(TALK, 72), TALK)

    def test_oldest_go(self) -> None:
        """The oldest go first; what the system says stays."""
        self.assertEqual(fitting(TALK, 71), [TALK[0], *TALK[2:]])
        self.assertEqual(fitting(TALK, 40), [TALK[0], TALK[3]])

    def test_last_stays(self) -> None:
        """The question stays, whatever it costs."""
        self.assertEqual(fitting(TALK, 1), [TALK[0], TALK[3]])

    def test_results(self) -> None:
        """What a tool said goes with the call it answers, which counts as well."""
        called = Message("assistant", "", (Call("1", "get_time", {"city": "x" * 60}),))
        talk = [TALK[0], called, Message("tool", "15:05", call_id="1"), TALK[3]]
        self.assertEqual(fitting(talk, 100), talk)
        self.assertEqual(fitting(talk, 60), [TALK[0], TALK[3]])

    def test_long_results(self) -> None:
        """Results too long for the context are cut: the question and the calls stay with them."""
        calls = (Call("1", "f", {}), Call("2", "f", {}))
        results = [Message("tool", "书" * 3000, call_id=call.id) for call in calls]
        talk = [*TALK, Message("assistant", "", calls), *results]
        kept = fitting(talk, 1000)
        self.assertEqual([m.role for m in kept], ["system", "user", "assistant", "tool", "tool"])
        self.assertEqual([m.call_id for m in kept[-2:]], ["1", "2"])
        self.assertTrue(all(re.fullmatch("书{300,480}…", m.content) for m in kept[-2:]))
        self.assertLessEqual(sum(len(m.content.encode()) for m in kept), 3 * 1000)
        (*_, last) = fitting(talk, 1)
        self.assertEqual(last.content, "书" * 31 + "…")

    def test_tools(self) -> None:
        """Tools take room, too: what their descriptions have, or the words for them."""
        needed = {
            form: next(n for n in range(999) if fitting(TALK, n, form, [TIME]) == TALK)
            for form in FORMS
        }
        self.assertEqual(needed["none"], 72)
        self.assertGreater(needed["native"], 72 + 30)
        self.assertGreater(needed["text"], needed["native"] + 100)

    @given(
        st.lists(
            st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text()),
            min_size=1,
        ),
        st.integers(1, 200),
    )
    def test_any(self, talk: list[Message], tokens: int) -> None:
        """What is left is the end of the conversation, in order, and what the system says."""
        kept = list(fitting(talk, tokens))
        self.assertEqual(kept[-1], talk[-1])
        self.assertEqual(
            [m for m in kept if m.role == "system"], [m for m in talk if m.role == "system"]
        )
        said = [m for m in kept if m.role != "system"]
        everything = [m for m in talk if m.role != "system"]
        self.assertEqual(said, everything[len(everything) - len(said) :])
