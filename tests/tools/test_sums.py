"""Sums."""

from __future__ import annotations

import time
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.tools.stage import Stage, call, room
from xiaozhi.tools import sums

RIGHT = {
    "0.1 + 0.2": "0.3", "12 * 7": "84", "2 + 3 * 4": "14", "(2 + 3) * 4": "20", "7 // 2": "3",
    "7 % 4": "3", "2 ** 10": "1024", "2^10": "1024", "-3 + +1": "-2", "10 ÷ 4": "2.5",
    "３×４": "12", "1,000 * 3": "3000", "sqrt(16)": "4", "cbrt(27)": "3", "cbrt(-8)": "-2",
    "15 / 100 * 80": "12", "factorial(5)": "120", "abs(-3)": "3", "round(2.6)": "3",
    "log10(1000)": "3", "ln(exp(1))": "1", "2 ** 0.5 * 2 ** 0.5": "2", "1e3": "1000",
    "9 ** 99": str(9**99),
}  # fmt: skip
WRONG = (
    "", "9**9**9", "10 ** 1000", "1 / 0", "0 / 0", "5 % 0", "sqrt(-1)", "ln(0)", "factorial(1000)",
    "factorial(2.5)", "1e9999", "(" * 200, "2 +", "x", "True", "__import__('os')", "a.b", "[1]",
    "sqrt", "sqrt()", "sqrt(1, 2)", "sqrt(x=4)", "1 if 1 else 2", "1or 2", "3 < 4", "~1", "'a'",
    "1" * 201, "1 ** 1001", "f(1)", "1 << 9", "\0", "(-8) ** 0.5", "lambda: 1", "10**99 * 10**99",
)  # fmt: skip


class Sums(SynchronousTestCase):
    def test_right(self) -> None:
        """Sums are worked out as on paper, to 28 digits."""
        for expression, result in RIGHT.items():
            difference = sums.evaluate(expression) - Decimal(result)
            self.assertLessEqual(
                abs(difference), abs(Decimal(result)) * Decimal("1e-26"), expression
            )
        self.assertEqual(str(sums.evaluate("0.1 + 0.2")), "0.3")

    def test_wrong(self) -> None:
        """What is no sum, or has no result, is refused in words."""
        for expression in WRONG:
            with self.assertRaises(sums.WrongSum, msg=expression):
                sums.evaluate(expression)

    def test_steep(self) -> None:
        """The steepest powers and the longest expressions take no time to speak of."""
        for expression in (
            "1.0000001 ** 999.5",
            "factorial(69)" + "*1.01" * 35,
            "exp(200)" + "-1" * 90,
        ):
            began = time.process_time()
            sums.evaluate(expression)
            self.assertLess(time.process_time() - began, 0.05)

    @given(st.text("0123456789.+-*/%()e sqrtln^ π,", max_size=60))
    def test_anything(self, expression: str) -> None:
        """Whatever is written, there is a number, or it is a wrong sum."""
        try:
            self.assertTrue(sums.evaluate(expression).is_finite())
        except sums.WrongSum as error:
            self.assertTrue(str(error))


class Told(SynchronousTestCase):
    def say(self, expression: str, language: str = "en") -> tuple[str, str, bool]:
        kit = sums.Kit(sums.Settings(), room())
        coroutine = call(kit, "calculate", Stage(language), expression=expression)
        outcome = self.successResultOf(Deferred.fromCoroutine(coroutine))
        return outcome.text, outcome.say, outcome.failed

    def test_result(self) -> None:
        """The model is told all digits, the user as many as can be heard."""
        self.assertEqual(self.say("12 * 7"), ("12 * 7 = 84", "That is 84.", False))
        text, say, _ = self.say("10 / 3", "zh")
        self.assertEqual((text[:22], say), ("10 / 3 = 3.33333333333", "大约等于3.333333333。"))

    def test_trouble(self) -> None:
        """What cannot be worked out is said so, and the model knows why."""
        text, say, failed = self.say("1 / 0")
        self.assertEqual((say, failed), ("I cannot work that out.", True))
        self.assertIn("divided by zero", text)
        self.assertEqual(self.say("x", "zh")[1], "这个我算不出来。")
