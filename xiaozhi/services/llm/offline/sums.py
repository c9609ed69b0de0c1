"""Sums, as they are said: found in a question, worked out, answered."""

from __future__ import annotations

import re
from fractions import Fraction
from math import isqrt

from xiaozhi.services.llm.offline.numerals import RUN_ZH, parse_zh, say, take_en
from xiaozhi.services.llm.offline.question import Question

Token = Fraction | str
"""A number or a sign: + - * / ^ ( ) of, √ before its number, ² ³ % and "root" after it."""

_BIGGEST = 10**15
_MOST = 100
"""The largest exponent."""
_PHRASES_EN = {
    "to the power of": "^", "the square root of": "√", "square root of": "√",
    "multiplied by": "*", "divided by": "/", "take away": "-", "added to": "+",
    "per cent": "%", "percent": "%", "squared": "²", "cubed": "³", "plus": "+", "minus": "-",
    "less": "-", "negative": "-", "times": "*", "x": "*", "over": "/", "of": "of",
    "+": "+", "-": "-", "*": "*", "/": "/", "^": "^", "(": "(", ")": ")", "%": "%",
}  # fmt: skip
_WORDS_EN = {tuple(phrase.split()): token for phrase, token in _PHRASES_EN.items()}
_FRAME_EN = re.compile(
    r"^(?:(?:what|how much|how many)(?: is| are| does| do)?|calculate|compute|work out)? ?"
    r"(?P<sum>.+?)(?: (?:is |be )?(?:equals?(?: to)?|is|makes?|be)(?: what)?)?$"
)
_PHRASES_ZH = {
    "的平方根": "root", "开平方": "root", "的平方": "²", "的立方": "³", "根号": "√",
    "加上": "+", "加": "+", "减去": "-", "减": "-", "乘以": "*", "乘上": "*", "乘": "*",
    "除以": "/", "除": "/", "负": "-", "的": "of", "+": "+", "-": "-", "*": "*", "/": "/",
    "^": "^", "x": "*", "(": "(", ")": ")", "%": "%",
}  # fmt: skip
_PHRASE_ZH = re.compile("|".join(map(re.escape, sorted(_PHRASES_ZH, key=len, reverse=True))))
_PERCENT_ZH = re.compile(f"百分之({RUN_ZH.pattern})")
_PART_ZH = re.compile(f"({RUN_ZH.pattern})分之({RUN_ZH.pattern})|一半")
_FRAME_ZH = re.compile(r"^(?:计算|算算?|求)?(?P<sum>.+?)(?:等于|[是得])?(?:几|多少|什么)?$")
_TROUBLE = {
    "zero": {"zh": "不能除以零。", "en": "Nothing can be divided by zero."},
    "big": {"zh": "这个数太大了，我说不出来。", "en": "That number is too big for me to say."},
    "root": {"zh": "负数没有实数平方根。", "en": "A negative number has no real square root."},
}


_SAID = {
    "+": ("加", "plus"), "-": ("减", "minus"), "*": ("乘以", "times"), "/": ("除以", "divided by"),
    "^": ("^", "to the power of"), "%": ("%", "percent"), "x": ("乘以", "times"),
}  # fmt: skip
_SIGN = re.compile(r"[-+*/^%]|(?<![a-z])x(?![a-z])")


class _Trouble(Exception):
    """The sum has no answer; `str()` is a key of _TROUBLE."""


class _NoSum(Exception):
    """What was said is no sum."""


def answer(question: Question) -> str | None:
    """Work out the sum the question asks for; None if it asks for none."""
    chinese = question.language == "zh"
    frame = (_FRAME_ZH if chinese else _FRAME_EN).match(question.text)
    if frame is None:
        return None
    told = frame["sum"]
    try:
        if chinese:
            tokens = _tokens_zh(told)
        else:
            told, tokens = _found_en(told)
        value = _Sum(tokens).value()
    except _NoSum:
        return None
    except _Trouble as trouble:
        return _TROUBLE[str(trouble)][question.language]
    told = _SIGN.sub(lambda sign: _SAID[sign[0]][0 if chinese else 1], told)
    if chinese:
        return f"{told}等于{say(value, 'zh')}。".replace("等于约", "约等于")
    told = told.replace("( ", "(").replace(" )", ")")
    return f"{told[0].upper()}{told[1:]} is {say(value, 'en')}."


def _found_en(told: str) -> tuple[str, list[Token]]:
    """Find the sum after at most two words that recognisers make of "what is"."""
    words = told.split()
    for start in range(min(3, len(words))):
        try:
            return " ".join(words[start:]), _tokens_en(words[start:])
        except _NoSum:
            continue
    raise _NoSum


def _tokens_en(words: list[str]) -> list[Token]:
    tokens: list[Token] = []
    index = 0
    while index < len(words):
        for length in (4, 3, 2, 1):
            token = _WORDS_EN.get(tuple(words[index : index + length]))
            if token is not None:
                tokens.append(token)
                index += length
                break
        else:
            number = take_en(words, index)
            if number is None:
                raise _NoSum
            tokens.append(number[0])
            index = number[1]
    return tokens


def _tokens_zh(text: str) -> list[Token]:
    tokens: list[Token] = []
    index = 0
    while index < len(text):
        if tokens[-2:-1] == ["of"] and text.startswith("次方", index):
            tokens[-2] = "^"  # 二的十次方
            index += 2
        elif tokens[-2:-1] == ["of"] and text.startswith("倍", index):
            index += 1
        elif part := _PERCENT_ZH.match(text, index):
            tokens.append(_number_zh(part[1]) / 100)
            index = part.end()
        elif part := _PART_ZH.match(text, index):
            below = _number_zh(part[1]) if part[1] else Fraction(2)
            if not below:
                raise _Trouble("zero")
            tokens.append((_number_zh(part[2]) if part[2] else 1) / below)
            index = part.end()
        elif part := _PHRASE_ZH.match(text, index):
            tokens.append(_PHRASES_ZH[part[0]])
            index = part.end()
        elif part := RUN_ZH.match(text, index):
            tokens.append(_number_zh(part[0]))
            index = part.end()
        else:
            raise _NoSum
    return tokens


def _number_zh(text: str) -> Fraction:
    number = parse_zh(text)
    if number is None:
        raise _NoSum
    return number


class _Sum:
    """A sum worked out by recursive descent, powers before products before additions."""

    def __init__(self, tokens: list[Token]) -> None:
        """Raise _NoSum if nothing is to be worked out: a number alone is no sum."""
        signs = tokens[1:] if tokens[:1] == ["-"] else tokens
        if not any(isinstance(sign, str) and sign not in "()" for sign in signs):
            raise _NoSum
        self._tokens = tokens
        self._index = 0

    def value(self) -> Fraction:
        """Return the result, exact or within 8 decimals; raises _NoSum or _Trouble."""
        value = self._addition()
        if self._index < len(self._tokens):
            raise _NoSum
        return value

    def _take(self, *wanted: str) -> str:
        """Return the next token and go past it, if it is one of the signs `wanted`."""
        token = self._tokens[self._index] if self._index < len(self._tokens) else ""
        if isinstance(token, str) and token in wanted:
            self._index += 1
            return token
        return ""

    def _addition(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while sign := self._take("*", "/", "of"):
            other = self._signed()
            value = _bounded(_divided(value, other) if sign == "/" else value * other)
        return value

    def _signed(self) -> Fraction:
        if self._take("-"):
            return -self._signed()
        value = self._marked()
        return _power(value, self._signed()) if self._take("^") else value

    def _marked(self) -> Fraction:
        value = self._atom()
        while sign := self._take("²", "³", "%", "root"):
            match sign:
                case "%":
                    value /= 100
                case "root":
                    value = _root(value)
                case _:
                    value = _power(value, Fraction(2 if sign == "²" else 3))
        return value

    def _atom(self) -> Fraction:
        if self._take("√"):
            return _root(self._signed())
        if self._take("("):
            value = self._addition()
            if not self._take(")"):
                raise _NoSum
            return value
        token = self._tokens[self._index] if self._index < len(self._tokens) else ""
        if isinstance(token, str):
            raise _NoSum
        self._index += 1
        return _bounded(token)


def _bounded(value: Fraction) -> Fraction:
    if abs(value) >= _BIGGEST:
        raise _Trouble("big")
    return value


def _divided(value: Fraction, by: Fraction) -> Fraction:
    if not by:
        raise _Trouble("zero")
    return value / by


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent == Fraction(1, 2):
        return _root(base)
    if exponent.denominator != 1:
        raise _NoSum
    if not base and exponent < 0:
        raise _Trouble("zero")
    if abs(exponent) > _MOST:
        raise _Trouble("big")
    return _bounded(base ** int(exponent))


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise _Trouble("root")
    above, below = isqrt(value.numerator), isqrt(value.denominator)
    if above**2 == value.numerator and below**2 == value.denominator:
        return Fraction(above, below)
    return Fraction(isqrt(value.numerator * 10**16 // value.denominator), 10**8)
