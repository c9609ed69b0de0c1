"""What a model is told: the stable part first, and what users said as data only."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.briefing import BEFORE, EARLIER, KNOWN, TOOLS, Briefing, filled


class BriefingTests(SynchronousTestCase):
    def test_order(self) -> None:
        """What stays comes first, the time last."""
        text = Briefing(
            "You are {{name}}.",
            {"name": "Ada"},
            tools=True,
            facts=["likes tea"],
            earlier="spoke of tea",
            before="asked for tea",
            now="Tuesday",
        ).text()
        self.assertEqual(
            text.split("\n"),
            [
                "You are Ada.",
                TOOLS,
                KNOWN,
                '["likes tea"]',
                EARLIER,
                '"spoke of tea"',
                BEFORE,
                '"asked for tea"',
                "It is Tuesday.",
            ],
        )

    def test_little(self) -> None:
        """What is not known is not mentioned."""
        self.assertEqual(Briefing("Hi", {}).text(), "Hi")

    def test_variables(self) -> None:
        """Both forms of a variable are filled; what is none stays; values are not read again."""
        template = '{name} {{ name }} {other} {} {"json": 1}'
        self.assertEqual(
            filled(template, {"name": "{name}"}), '{name} {name} {other} {} {"json": 1}'
        )

    @given(st.lists(st.text(), min_size=1, max_size=3))
    def test_data(self, facts: list[str]) -> None:
        """Whatever a user said is one line of JSON, which nothing in it can end."""
        lines = Briefing("Hi", {}, facts=facts).text().split("\n")
        self.assertEqual(json.loads(lines[2]), facts)
        self.assertNotIn("<", lines[2])
        self.assertEqual(len(lines), 3)
