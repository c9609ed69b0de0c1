"""What a model is told: the stable part first."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.briefing import TOOLS, Briefing, filled


class BriefingTests(SynchronousTestCase):
    def test_order(self) -> None:
        """What stays comes first, the time last."""
        text = Briefing(
            "You are {{name}}.",
            {"name": "Ada"},
            tools=True,
            known=["of tea", "", "of {name}"],
            now="Tuesday",
        ).text()
        self.assertEqual(
            text.split("\n"),
            [
                "You are Ada.",
                TOOLS,
                "of tea",
                "of {name}",
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
