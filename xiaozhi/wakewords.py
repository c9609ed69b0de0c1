"""Wake words at the start of recognised text: "你好小智，今天星期几？" asks for the day only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_FORGIVING: Final = 4
"""A wake word of as many characters may have a wrong one: recognisers mishear names."""
_LEADING: Final = re.compile(r"^[\s,.!?:;…~，。、！？：；～·—–)\]）】」』”’]+")
_CHARACTER: Final = re.compile(r"[\s\S][\u0300-\u036f]*")
# Scripts that put no blanks between words: a word may end anywhere.
_WIDE: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u2e80-\u9fff\uf900-\ufaff\uff66-\uff9f]")


def same(text: str, words: Iterable[str]) -> bool:
    """Say whether `text` is one of `words`, whatever its punctuation, blanks and case."""
    letters = _letters(text)
    return bool(letters) and any(letters == _letters(word) for word in words)


def cut(text: str, words: Iterable[str]) -> str:
    """Cut all of `words` that `text` starts with, and the punctuation after them.

    Punctuation, blanks and case do not count. In words of four characters and more one wrong
    character is forgiven; in an alphabet a missing one and one too many as well, since there
    the end of the word shows. A text without wake word is returned as it is.
    """
    known = sorted(filter(None, map(_letters, words)), key=len, reverse=True)
    rest = text
    while (end := _end_of_word(rest, known)) is not None:
        rest = rest[end:]
    return text if rest is text else _LEADING.sub("", rest, count=1)


def _letters(text: str) -> str:
    return "".join(letter for letter, _ in _places(text))


def _places(text: str) -> list[tuple[str, int]]:
    """List what counts of `text`, in its plainest form, with the index after it."""
    return [
        (letter, char.end())
        for char in _CHARACTER.finditer(text)
        for letter in unicodedata.normalize("NFKC", char[0]).casefold()
        if unicodedata.category(letter)[0] in "LMN"
    ]


def _end_of_word(text: str, known: list[str]) -> int | None:
    """Find where the wake word that `text` starts with ends; an exact one is preferred."""
    places = _places(text)
    for forgiving in (False, True):
        for word in known:
            wide = _WIDE.search(word) is not None
            for length in _lengths(len(word), forgiving, wide):
                heard = "".join(letter for letter, _ in places[:length])
                if len(heard) != length or not _matches(heard, word, forgiving):
                    continue
                end = places[length - 1][1]
                if wide or not text[end : end + 1].isalnum() or _WIDE.match(text, end):
                    return end
    return None


def _lengths(length: int, forgiving: bool, wide: bool) -> tuple[int, ...]:
    if not forgiving:
        return (length,)
    if length < _FORGIVING:
        return ()
    return (length,) if wide else (length, length + 1, length - 1)


def _matches(heard: str, word: str, forgiving: bool) -> bool:
    """Compare exactly, or forgiving one character wrong, missing or too many."""
    if not forgiving:
        return heard == word
    if len(heard) == len(word):
        return sum(a != b for a, b in zip(heard, word, strict=True)) <= 1
    long, short = (heard, word) if len(heard) > len(word) else (word, heard)
    return any(long[:index] + long[index + 1 :] == short for index in range(len(long)))
