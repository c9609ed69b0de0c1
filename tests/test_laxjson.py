"""JSON as models write it, and what is too doubtful to be mended."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.laxjson import DEEPEST, MOST, Extent, Unreadable, read

VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(-1e9, 1e9)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
MENDED: Final[dict[str, Any]] = {
    '{"a": 1,}': {"a": 1},
    "[1, 2, ]": [1, 2],
    "{'a': 'it\\'s \"so\"'}": {"a": 'it\'s "so"'},
    '{"a": "it\\\'s"}': {"a": "it's"},
    "{a: 1, $b-c: True, d: None, e: False}": {"a": 1, "$b-c": True, "d": None, "e": False},
    '{"a": "two\nlines\t"}': {"a": "two\nlines\t"},
    '{"a": {"b": "c"}': {"a": {"b": "c"}},
    "[" + "1, " * (MOST - 1) + "]": [1] * (MOST - 1),
    '{"a": {"b": ["c"': {"a": {"b": ["c"]}},
    '{"a": true': {"a": True},
    '{"a": -1.5e3, }': {"a": -1500.0},
    '{"a": "\\ud83d\\ude42 \\ud83d"}': {"a": "🙂 ?"},
    " 5 ": 5,
    "{“a”： “b，\"c”，“d”：[‘e’、”f“]， 'g'：1}": {"a": 'b，"c', "d": ["e", "f"], "g": 1},
}
DOUBTFUL: Final = {
    "": "breaks off",
    "{": "breaks off",
    "[": "breaks off",
    '{"a": 5': "breaks off in a number",
    '{"a": "New Yo': "breaks off in a string",
    '{"a": 1,': "behind a comma",
    '{"a": ': "breaks off",
    '{"a"': "no colon",
    '{"a" 1}': "no colon",
    '{"a": 1 "b": 2}': "a comma or } is missing at character 9",
    '[{"a": 1]': "a comma or } is missing",
    "{1: 2}": "no key",
    '{"a": tru}': "no value at character 7: 'tru}'",
    '{"a": NaN,}': "no value",
    '{"a": 01}': "no value",
    '{"a": 1e999}': "too large",
    "9" * 5000: "too large",
    '{"a": "\\d"}': "wrong escape",
    '{"a": 1}}': "more behind it: '}'",
    "[" * 99 + "]" * 99: "too deep",
    "[" + "1, " * MOST + "]": "too many to be mended",
}


class LaxTests(SynchronousTestCase):
    def test_mended(self) -> None:
        """What can mean one thing only is read as that."""
        self.assertEqual({text: read(text) for text in MENDED}, MENDED)

    def test_doubtful(self) -> None:
        """What can mean several things is not read, and it is said what is wrong with it."""
        for text, why in DOUBTFUL.items():
            with self.assertRaises(Unreadable, msg=text) as caught:
                read(text)
            self.assertIn(why, str(caught.exception), text)

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(VALUES, st.booleans(), st.sampled_from(("", ",")))
    def test_json(self, value: Any, ascii_only: bool, comma: str) -> None:
        """JSON is read as itself, also when it was written by Python or has a comma too many."""
        text = json.dumps(value, ensure_ascii=ascii_only)
        self.assertEqual(read(text), value)
        self.assertEqual(read(f"[{text}{comma}]"), [value])
        self.assertEqual(read(f"{{key: {text}{comma}}}"), {"key": value})


class ExtentTests(SynchronousTestCase):
    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), st.text(max_size=5))
    def test_end(self, value: dict[str, Any], rest: str) -> None:
        """The end of an object is found, at its last character, whatever is in its strings."""
        text = json.dumps(value)
        extent = Extent(0)
        ends = [extent.find(text[:length]) for length in range(len(text))]
        self.assertEqual({*ends}, {0})
        self.assertEqual(extent.find(text + rest), len(text))

    def test_apostrophe(self) -> None:
        """An apostrophe opens a string only where one may begin."""
        for text in (
            "{'a': '}'}",
            "f(a='}')",
            '{it\'s: "}"}',
            "['it', {'a}': 1}]",
            "{“a”：“}”，it’s：‘}’}",
        ):
            start = text.index(next(sign for sign in text if sign in "{[("))
            self.assertEqual(Extent(start).find(f"{text} and '}} more"), len(text))

    def test_too_deep(self) -> None:
        """Depth has a bound."""
        self.assertEqual(Extent(0).find("[" * DEEPEST), 0)
        with self.assertRaises(Unreadable):
            Extent(0).find("[" * (DEEPEST + 1))
