"""JSON as models write it: read as it is, or mended where it can have only one meaning.

Mended are single quotes, unquoted keys, commas too many, Python's True, False and None, control
characters in strings, quotes and punctuation as Chinese and a word processor write them, and
closing brackets that are missing at the very end. A number at that end, or a string without its
quote, may have been cut, and so is not taken for what it seems.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

import attrs

DEEPEST: Final = 40
"""How far values may be nested."""
MOST: Final = 150
"""Values that are read one by one, which takes some microseconds each."""
LONGEST: Final = 8000
"""Characters of a text that is mended."""

_BLANK: Final = re.compile(r"\s*")
_COMMA: Final = re.compile(r"\s*[,，、]\s*")
_ENDS: Final = {'"': '"', "'": "'", "“": "“”", "”": "“”", "‘": "‘’", "’": "‘’"}
"""The quotes, and which end what one begins. Those that have two shapes are often mixed up."""
_RUN: Final = {
    quote: re.compile(rf"[^{ends}\\]*+(?:\\.[^{ends}\\]*+)*+", re.DOTALL)
    for quote, ends in _ENDS.items()
}
"""The inside of a string."""
_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9]\d*+)(?P<fraction>(?:\.\d++)?(?:[eE][+-]?\d++)?)(?![\w.])"
)
_WORD: Final = re.compile(r"[A-Za-z_$][\w$-]*")
_WORDS: Final = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_QUOTED: Final = re.compile(r"\\.|\"", re.DOTALL)
_BRACKETS: Final = re.compile(r"[\"'“”‘’{}()\[\]]")
_SURROGATE: Final = re.compile(r"\\u[dD]|[\ud800-\udfff]")
_CLOSES: Final = {"{": "}", "[": "]"}


class Unreadable(ValueError):
    """It is no JSON, and could mean several things; `str()` says what is wrong and where."""


def read(text: str) -> object:
    """Return the one value that `text` is; raise Unreadable."""
    deep = text.count("{") + text.count("[") > DEEPEST
    if not deep and not _SURROGATE.search(text):
        try:
            return json.loads(text, strict=False, parse_float=_real, parse_constant=_refuse)
        except (ValueError, RecursionError):
            pass
    if len(text) > LONGEST:
        raise Unreadable(f"it has more than {LONGEST} characters, too many to be mended")
    value, end = read_at(text, past(_BLANK, text, 0))
    if rest := text[end:].strip():
        raise Unreadable(f"there is more behind it: {rest[:20]!r}")
    return value


def read_at(text: str, at: int) -> tuple[Any, int]:
    """Return the value that begins at an index, and the index behind it; raise Unreadable."""
    return _Reading(text).value(at, 0)


@attrs.define
class _Reading:
    """Reads a text value by value."""

    text: str
    values: int = 0
    """How many it has read, or is about to."""

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """Read the value at an index; return it with the index behind it, as the others do."""
        text = self.text
        self.values += 1
        if at >= len(text):
            raise Unreadable("it breaks off")
        if depth > DEEPEST:
            raise Unreadable("it is nested too deep")
        if self.values > MOST:
            raise Unreadable(f"it has more than {MOST} values, too many to be mended")
        char = text[at]
        if char in _CLOSES:
            return self._container(at, depth)
        if char in _RUN:
            return self._string(at)
        if number := _NUMBER.match(text, at):
            if number.end() == len(text) and depth:
                raise Unreadable("it breaks off in a number")
            return _number(number), number.end()
        word = _WORD.match(text, at)
        if word and word[0] in _WORDS:
            return _WORDS[word[0]], word.end()
        raise Unreadable(f"there is no value at character {at + 1}: {text[at : at + 20]!r}")

    def _container(self, at: int, depth: int) -> tuple[Any, int]:
        """Read an object or a list, whose elements may be followed by one comma too many."""
        text, close = self.text, _CLOSES[self.text[at]]
        items: list[Any] = []
        at = past(_BLANK, text, at + 1)
        if at == len(text):
            raise Unreadable("it breaks off")
        while not text.startswith(close, at):
            if close == "}":
                key, at = self._key(at)
                value, at = self.value(at, depth + 1)
                items.append((key, value))
            else:
                value, at = self.value(at, depth + 1)
                items.append(value)
            if comma := _COMMA.match(text, at):
                at = comma.end()
                if at == len(text):
                    raise Unreadable("it breaks off behind a comma")
                continue
            at = past(_BLANK, text, at)
            if at == len(text):
                break  # nothing but brackets is missing
            if text[at] != close:
                raise Unreadable(f"a comma or {close} is missing at character {at + 1}")
        return (dict(items) if close == "}" else items), min(at + 1, len(text))

    def _key(self, at: int) -> tuple[str, int]:
        """Read a key and its colon; return it with the index of its value."""
        text = self.text
        if text[at] in _RUN:
            key, at = self._string(at)
        elif word := _WORD.match(text, at):
            key, at = word[0], word.end()
        else:
            raise Unreadable(f"there is no key at character {at + 1}: {text[at : at + 20]!r}")
        at = past(_BLANK, text, at)
        if not text.startswith((":", "："), at):
            raise Unreadable(f"there is no colon behind the key {key[:20]!r}")
        return key, past(_BLANK, text, at + 1)

    def _string(self, at: int) -> tuple[str, int]:
        text, quote = self.text, self.text[at]
        end = past(_RUN[quote], text, at + 1)
        if not text.startswith(tuple(_ENDS[quote]), end):
            raise Unreadable("it breaks off in a string")
        said = text[at + 1 : end]
        if "\\" in said:
            try:
                said = json.loads(f'"{_QUOTED.sub(_requoted, said)}"', strict=False)
            except ValueError as error:
                raise Unreadable(f"a string has a wrong escape: {text[at:end][:30]!r}") from error
        return said.encode("utf-8", "replace").decode(), end + 1


def _requoted(match: re.Match[str]) -> str:
    """Write a part of a string as it stands between double quotes."""
    return {"\\'": "'", '"': '\\"'}.get(match[0], match[0])


def _number(match: re.Match[str]) -> int | float:
    try:
        return _real(match[0]) if match["fraction"] else int(match[0])
    except ValueError as error:
        raise Unreadable(f"a number is too large: {match[0][:20]}") from error


def _real(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def past(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return the index behind what matches a pattern, which may be empty."""
    match = pattern.match(text, at)
    return match.end() if match else at


@attrs.define
class Extent:
    """Finds where something in brackets ends, in a text that still comes."""

    at: int
    """How far the text is known. At first, where the bracket opens."""
    _depth: int = attrs.field(default=0, init=False)
    _quote: str = attrs.field(default="", init=False)
    _before: str = attrs.field(default="{", init=False)
    """The last character that is no blank."""

    def find(self, text: str) -> int:
        """Return the index behind the closing bracket; 0 as long as it has not come.

        `text` is the same as before, or longer. Raises Unreadable when it is nested too deep.
        """
        while self.at < len(text):
            if self._quote:
                self.at = past(_RUN[self._quote], text, self.at)
                if not text.startswith(tuple(_ENDS[self._quote]), self.at):
                    return 0
                self.at, self._before, self._quote = self.at + 1, self._quote, ""
                continue
            sign = _BRACKETS.search(text, self.at)
            between = text[self.at : sign.start() if sign else len(text)].rstrip()
            self._before = between[-1:] or self._before
            self.at = sign.end() if sign else len(text)
            if sign and self._read(sign[0]):
                return self.at
        return 0

    def _read(self, sign: str) -> bool:
        """Take account of a bracket or quote; say whether it was the last."""
        if sign in _RUN:
            # An apostrophe, or a quote that is typeset, is none where no value can begin.
            if sign == '"' or self._before in "{[(,:=，：、":
                self._quote = sign
        elif sign in "{[(":
            self._depth += 1
            if self._depth > DEEPEST:
                raise Unreadable("it is nested too deep")
        else:
            self._depth -= 1
        self._before = sign
        return not self._depth and not self._quote
