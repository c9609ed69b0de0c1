"""Arguments of calls, as models write them and as tools get them."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.test_laxjson import VALUES
from xiaozhi.arguments import FAILED, MOST, BadArguments, understood
from xiaozhi.laxjson import LONGEST

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "level": {"type": "integer", "minimum": 0, "maximum": 100},
        "city": {"type": "string"},
        "on": {"type": "boolean"},
        "action": {"type": "string", "enum": ["pause", "resume", "Stop", "stop"]},
        "ratio": {"type": "number"},
        "days": {"type": "array", "items": {"type": "integer"}},
        "place": {
            "type": "object",
            "properties": {"x": {"type": "number"}, "tag": {}},
            "required": ["x"],
        },
        "note": {"type": ["string", "null"]},
        "any": {"anyOf": [{"type": "string"}]},
    },
}
CITY: Final = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
READ: Final[dict[str, dict[str, Any]]] = {
    "": {},
    " \n": {},
    "null": {},
    "{}": {},
    '"{\\"city\\": \\"x\\"}"': {"city": "x"},
    "{'city': 'x', on: True,}": {"city": "x", "on": True},
    '```json\n{"city": "x"}\n```': {"city": "x"},
    'The arguments: {"city": "x"} as you wished.': {"city": "x"},
    '{"city": "x"}}': {"city": "x"},
    '{"place": {"x": 1, "tag": "y"}': {"place": {"x": 1, "tag": "y"}},
}
UNREADABLE: Final[tuple[tuple[object, str], ...]] = (
    ("[1]", "found a list"),
    ([{"city": "x"}], "found a list"),
    (7, "found a number"),
    ("true", "found a boolean"),
    (b"{}", "found something else"),
    ('"\\"\\\\\\"x\\\\\\"\\""', "found text"),
    ("Beijing", "no value"),
    ('{"city": "New Yo', "breaks off in a string"),
    ('{"city": "x"} {"city": "y"}', "several objects"),
    ({"city": b"x"}, "no JSON"),
    ({"city": float("nan")}, "no value"),
)
FITTED: Final[tuple[tuple[dict[str, Any], dict[str, Any]], ...]] = (
    ({"level": "5"}, {"level": 5}),
    ({"level": 5.0}, {"level": 5}),
    ({"level": "50.0"}, {"level": 50}),
    ({"ratio": "0.5"}, {"ratio": 0.5}),
    ({"ratio": "3"}, {"ratio": 3}),
    ({"ratio": 2}, {"ratio": 2}),
    ({"ratio": 2.5}, {"ratio": 2.5}),
    ({"on": "true"}, {"on": True}),
    ({"on": "False"}, {"on": False}),
    ({"city": 5}, {"city": "5"}),
    ({"action": "Pause"}, {"action": "pause"}),
    ({"action": "stop"}, {"action": "stop"}),
    ({"days": "[1, '2']"}, {"days": [1, 2]}),
    ({"place": '{"x": "1.5", "y": 2}'}, {"place": {"x": 1.5}}),
    ({"note": None, "city": None, "any": 5}, {"note": None, "any": 5}),
    ({"unknown": 1}, {}),
)
WRONG: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"level": 101}, "level must be at most 100, not 101"),
    ({"level": -1}, "level must be at least 0, not -1"),
    ({"level": "loud"}, 'level must be integer, not "loud"'),
    ({"level": 5.5}, "level must be integer, not 5.5"),
    ({"level": True}, "level must be integer, not true"),
    ({"on": 1}, "on must be boolean, not 1"),
    ({"city": True}, "city must be string, not true"),
    ({"note": {}}, "note must be string or null, not {}"),
    ({"action": "STOP"}, 'action must be one of ["pause", "resume", "Stop", "stop"], not "STOP"'),
    ({"days": [1, "x"]}, 'days[1] must be integer, not "x"'),
    ({"days": "[1"}, 'days must be array, not "[1"'),
    ({"days": "5"}, 'days must be array, not "5"'),
    ({"place": {}}, "the argument place.x is missing"),
    ({"place": 5, "level": 999}, "place must be object, not 5; level must be at most 100, not 999"),
)
ODD: Final[tuple[tuple[dict[str, Any], Any], ...]] = (
    ({"properties": 5}, {"b": 1}),
    ({"properties": {"a": 5}}, {"b": 1}),
    ({"properties": {"a": {"type": "object", "properties": None}}}, {"b": 1}),
    ({"properties": {"a": {"type": ["x", ["y"]], "enum": 5, "items": 7}}}, [1]),
    ({"properties": {"a": {"type": "number", "minimum": "1"}}, "required": [["x"], 5]}, 0),
    ({"properties": {"a": {"type": "array", "items": [{"type": "string"}]}}, "required": 5}, [1]),
)
"""Schemas that are none, or of which we know nothing, and a value for `a`."""


class ArgumentsTests(SynchronousTestCase):
    def why(self, raw: object, schema: dict[str, Any]) -> str:
        with self.assertRaises(BadArguments, msg=repr(raw)) as caught:
            understood(raw, schema)
        why = str(caught.exception)
        self.assertTrue(why.startswith(FAILED), why)
        return why

    def test_read(self) -> None:
        """Arguments are read however they are written."""
        self.assertEqual({text: understood(text, SCHEMA) for text in READ}, READ)
        self.assertEqual(understood(None, SCHEMA), {})

    def test_unreadable(self) -> None:
        """What cannot be read is told with what is wrong with it."""
        for raw, why in UNREADABLE:
            self.assertIn(why, self.why(raw, SCHEMA), repr(raw))

    def test_fitted(self) -> None:
        """Values are what the schema says where that is certain; what it does not know goes."""
        for raw, fitted in FITTED:
            for form in (raw, json.dumps(raw)):
                got = understood(form, SCHEMA)
                self.assertEqual(got, fitted)
                self.assertEqual(repr(got), repr(fitted))

    def test_wrong(self) -> None:
        """What does not fit is named, all of it, with what it must be."""
        for raw, why in WRONG:
            self.assertEqual(self.why(raw, SCHEMA), f"{FAILED}: {why}")

    def test_missing(self) -> None:
        """So is what is missing, which null is as well."""
        for raw in ({}, {"city": None}, "", {"town": "x"}):
            self.assertEqual(self.why(raw, CITY), f"{FAILED}: the argument city is missing")

    def test_more(self) -> None:
        """Arguments that the schema does not name stay where it allows them."""
        open_ended = CITY | {"additionalProperties": True}
        self.assertEqual(understood({"city": "x", "more": 1}, open_ended), {"city": "x", "more": 1})
        self.assertEqual(understood({"more": 1}, {}), {"more": 1})

    def test_repeated(self) -> None:
        """A model that repeats itself is told so; it does not have all of it fitted."""
        lists = {"properties": {"x": {"type": "array", "items": {"type": "integer"}}}}
        self.assertEqual(understood({"x": ["1"] * (MOST - 1)}, lists), {"x": [1] * (MOST - 1)})
        for x in (["1"] * MOST, [[1] * 20] * 20, {str(n): n for n in range(MOST)}):
            with self.assertRaisesRegex(BadArguments, f"more than {MOST} values"):
                understood({"x": x}, lists)
        with self.assertRaisesRegex(BadArguments, "too many to be mended"):
            understood("{'x': '" + "y" * LONGEST + "'}", {})

    def test_odd_schemas(self) -> None:
        """A schema that is none checks nothing."""
        for schema, value in ODD:
            self.assertEqual(understood({"a": value}, schema), {"a": value})

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), VALUES, max_size=4))
    def test_as_it_was(self, told: dict[str, Any]) -> None:
        """Without a schema, arguments come as they were written, as an object or as text."""
        for form in (told, json.dumps(told), json.dumps(json.dumps(told))):
            self.assertEqual(understood(form, {}), told)
