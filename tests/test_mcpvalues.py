"""Tools and results, as devices write them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.mcpvalues import FAILED, described, outcome
from xiaozhi.tooling import Outcome, Picture

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))
WRITTEN = b64encode(JPEG).decode()
SCHEMA = {"type": "object", "properties": {"volume": {"type": "integer"}}, "required": ["volume"]}


class Results(SynchronousTestCase):
    def test_texts(self) -> None:
        """Texts come as they are, whatever else there is as JSON."""
        result: Any
        for result, text in (
            ({"content": [{"type": "text", "text": "true"}], "isError": False}, "true"),
            ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
            ({"content": [{"type": "text", "text": True}]}, "true"),
            ({"content": [{"type": "text", "text": {"volume": 5}}]}, '{"volume":5}'),
            ({"content": [{"type": "resource", "uri": "x"}]}, '{"type":"resource","uri":"x"}'),
            ({"content": []}, ""),
            ({"content": "x"}, '{"content":"x"}'),
            ("done", "done"),
            (True, "true"),
            (None, "null"),
        ):
            self.assertEqual(outcome(result), Outcome(text))

    def test_shown(self) -> None:
        """Of what is to be shown the model is told all; half a surrogate pair harms nobody."""
        for text, whole in (
            ('{"action": "show_result", "x": 1}', True),
            ('{"action": "other", "x": "show_result"}', False),
            ('{"action": "show_result", "x": "\ud800"}', False),
            ('["show_result"]', False),
        ):
            told = outcome({"content": [{"type": "text", "text": text}]})
            self.assertEqual((told.text, told.whole), (text, whole))

    def test_pictures(self) -> None:
        """Images are read in the standard's form and in the firmware's."""
        standard = {"type": "image", "mimeType": "image/jpeg", "data": WRITTEN}
        firmware = {"type": "image", "image": json.dumps(standard)}
        for item in (standard, firmware, {"type": "image", "image": standard}):
            told = outcome({"content": [item, {"type": "text", "text": "a cat"}]})
            self.assertEqual(told, Outcome("a cat", pictures=(Picture("image/jpeg", JPEG),)))

    def test_no_pictures(self) -> None:
        """An image that is none is said to be that."""
        for item in (
            {"mimeType": "image/png", "data": "?"},
            {"mimeType": "image/png", "data": "ä"},
            {"mimeType": "text/html", "data": WRITTEN},
            {"mimeType": "image/png"},
            {"image": "{"},
            {"image": "[" * 50 + "]" * 50},
            {"image": "5"},
        ):
            told = outcome({"content": [{"type": "image"} | item]})
            self.assertEqual(told, Outcome("(an image that cannot be read)"))

    def test_failures(self) -> None:
        """A result may say that it is an error, as py-xiaozhi's do."""
        content: Any
        for content, why in (
            ([{"type": "text", "text": "no camera"}], "no camera"),
            ([], "no reason was given"),
        ):
            told = outcome({"content": content, "isError": True})
            self.assertEqual(told, Outcome(f"{FAILED}: {why}", failed=True))


class Descriptions(SynchronousTestCase):
    def test_whole(self) -> None:
        """A tool has a name, a description and a schema; some are for the user alone."""
        told: dict[str, Any] = {"name": "self.x", "description": "Does x.", "inputSchema": SCHEMA}
        one = described(told)
        assert one is not None
        self.assertEqual((one.name, one.description, one.schema), ("self.x", "Does x.", SCHEMA))
        self.assertFalse(one.user_only)
        for audience, user_only in (
            (["user"], True),
            (["user", "assistant"], False),
            ("user", False),
        ):
            one = described(told | {"annotations": {"audience": audience}})
            self.assertIs(one is not None and one.user_only, user_only)

    def test_shared(self) -> None:
        """One description serves all devices that give it, and goes with the last of them."""
        told = {"name": "self.shared", "inputSchema": SCHEMA}
        one, same, other = (
            described(json.loads(json.dumps(told | more)))
            for more in ({}, {}, {"description": "x"})
        )
        assert one is not None
        self.assertIs(one, same)
        self.assertIsNot(one, other)
        gone = ref(one)
        del one, same
        self.assertIsNone(gone())

    def test_gaps(self) -> None:
        """What is missing is empty; a schema that is none is one without arguments."""
        schema: Any
        for schema in (None, [], {}, {"type": "string"}, "x"):
            one = described({"name": "x", "description": 5, "inputSchema": schema})
            assert one is not None
            self.assertEqual(one.schema, {"type": "object", "properties": {}})
            self.assertEqual(one.description, "")

    def test_nonsense(self) -> None:
        """What is no tool, or one without measure, is left out."""
        told: Any
        for told in (None, "x", [], {}, {"name": ""}, {"name": 5}, {"name": "x" * 200}):
            self.assertIsNone(described(told))
        large = SCHEMA | {"description": "x" * 9000}
        self.assertIsNone(described({"name": "x", "inputSchema": large}))
        one = described({"name": "x", "description": "y" * 9000})
        assert one is not None
        self.assertEqual(len(one.description), 2000)
