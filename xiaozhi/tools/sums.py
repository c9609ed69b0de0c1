"""Sums: an expression is worked out exactly, as one writes it on paper."""

from __future__ import annotations

import ast
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, DecimalException, localcontext
from typing import Any, Final

from xiaozhi import telling
from xiaozhi.services import engine
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room

LONGEST: Final = 200
"""Characters of an expression."""
_LARGEST: Final = Decimal(10) ** 100
_STEEPEST: Final = 1000
"""The largest exponent: with it, a power takes 30 microseconds."""
_CONTEXT: Final = Context(prec=28, Emax=9999, Emin=-9999)


class WrongSum(ValueError):
    """An expression cannot be worked out; `str()` says why, to the model."""


class Settings(engine.Settings, frozen=True):
    """Sums need no settings."""


class Kit:
    """Do sums."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Need nothing."""

    @property
    def tools(self) -> Sequence[Tool]:
        """The tool."""
        return (
            Tool(
                "calculate",
                "Works out an arithmetic expression exactly.",
                self._calculate,
                {
                    "type": "object",
                    "properties": {
                        "expression": {
                            "type": "string",
                            "description": "Numbers, + - * / // % **, brackets, pi, e, and "
                            f"{', '.join(_FUNCTIONS)}.",
                        }
                    },
                    "required": ["expression"],
                },
            ),
        )

    async def _calculate(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        expression = str(arguments.get("expression", ""))
        chinese = scene.language == "zh"
        try:
            result = evaluate(expression)
        except WrongSum as error:
            say = "这个我算不出来。" if chinese else "I cannot work that out."
            return Outcome(f"{expression[:LONGEST]}: {error}", say, failed=True)
        exact = telling.figure(result)
        told = telling.figure(Context(prec=10).plus(result))
        about = Decimal(told) != result
        if chinese:
            say = f"{'大约' if about else ''}等于{told}。"
        else:
            say = f"That is {'about ' if about else ''}{told}."
        return Outcome(f"{expression} = {exact}", say)


def evaluate(expression: str) -> Decimal:
    """Work out an expression; raises WrongSum. It takes less than a millisecond."""
    text = (
        unicodedata.normalize("NFKC", expression)
        .translate(_SIGNS)
        .replace("^", "**")
        .replace(",", "")
        .strip()
    )
    # A digit before a letter would make Python warn of what it takes it for.
    if len(text) > LONGEST or re.search(r"[^\w\s.+\-*/%()]|\d_|\d[A-Za-df-z]", text):
        raise WrongSum("that is no arithmetic expression")
    try:
        tree = ast.parse(text, mode="eval")
        with localcontext(_CONTEXT):
            return +_value(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, WrongSum):
            raise
        raise WrongSum("that is no arithmetic expression") from error
    except ZeroDivisionError:
        raise WrongSum("nothing can be divided by zero") from None
    except DecimalException:
        raise WrongSum("the result is too large, or none") from None


def _value(node: ast.expr) -> Decimal:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return _bounded(Decimal(str(node.value)))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](_value(argument)))
    raise WrongSum("only numbers, operators and a few functions can be used")


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if abs(exponent) > _STEEPEST:
        raise WrongSum("the exponent is too large")
    return _bounded(base**exponent)


def _bounded(value: Decimal) -> Decimal:
    if abs(value) > _LARGEST:
        raise WrongSum("the result is too large")
    return value


def _cube_root(value: Decimal) -> Decimal:
    root = (abs(value) ** (Decimal(1) / 3)).copy_sign(value)
    whole = root.to_integral_value()
    return whole if whole**3 == value else root


def _factorial(value: Decimal) -> Decimal:
    if value != value.to_integral_value() or not 0 <= value <= 69:
        raise WrongSum("factorials are of whole numbers up to 69")
    result = Decimal(1)
    for factor in range(2, int(value) + 1):
        result *= factor
    return result


_SIGNS: Final = str.maketrans("×÷−", "*/-")
_CONSTANTS: Mapping[str, Decimal] = {
    "pi": Decimal("3.141592653589793238462643383"),
    "e": Decimal("2.718281828459045235360287471"),
}
_OPERATORS: Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: Mapping[str, Callable[[Decimal], Decimal]] = {
    "sqrt": Decimal.sqrt,
    "cbrt": _cube_root,
    "abs": abs,
    "round": Decimal.to_integral_value,
    "ln": Decimal.ln,
    "log10": Decimal.log10,
    "exp": Decimal.exp,
    "factorial": _factorial,
}
