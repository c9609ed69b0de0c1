"""Which words carry a text, and whether others say the same. Without a model, in any language."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

ENOUGH: Final = 0.6
"""The share of a fact's words that must have been said."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_LETTER: Final = r"[^\W\u3040-\u30ff\u3400-\u9fff]"
_PIECE = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|\d+|(?:(?![\u3040-\u30ff\u3400-\u9fff])[^\W\d_'])+"
)
_STOPS = frozenset(
    "the and for are was were has have had with that this they them their his her him she its "
    "not but who will would can from user users named called name into about when also very "
    "wants like likes love loves does been being an of to in is it he at on as be or my me we us "
    "you your our do did am so if".split()
)
_STOP_SIGNS = frozenset(
    "用户的了是在有和与也都很他她它们这那个被会要想着过吗呢吧啊就自己希望称为说人喜欢叫不"
)
"""What is in about any note."""
_STEM: Final = 3
"""Letters at the end that words may differ in."""
_SHORTEST_STEM: Final = 3


def content(text: str) -> frozenset[str]:
    """Tell the words that carry `text`: in Chinese and Japanese, the characters."""
    found = (piece.casefold() for piece in _PIECE.findall(text))
    return frozenset(
        word for word in found if word not in _STOPS and word not in _STOP_SIGNS and _carries(word)
    )


def support(text: str, said: Collection[str]) -> float:
    """Tell which share (0..1) of the words of `text` are among the words that were `said`.

    It is 0 if a number or a name was not said.
    """
    words = content(text)
    if not words or any(not _among(name, said) for name in _names(text)):
        return 0.0
    return sum(_among(word, said) for word in words) / len(words)


def mentions(about: str) -> Callable[[str], bool]:
    """Give what tells whether a text is about something; nothing is about nothing."""
    words = content(about)
    sought = " ".join(about.casefold().split())
    # Chinese has no ends of words; elsewhere a cat is in no education.
    before = f"(?<!{_LETTER})" if not _HAN.match(sought[:1]) else ""
    after = f"(?!{_LETTER})" if not _HAN.match(sought[-1:]) else ""
    literally = re.compile(before + re.escape(sought) + after)
    stems = [_stem(word) for word in words]

    def mentioned(text: str) -> bool:
        folded = text.casefold()
        if not all(stem in folded for stem in stems):
            return False  # as in most texts, and this is soon seen
        if sought and literally.search(" ".join(folded.split())):
            return True
        said = content(text)
        return bool(words) and all(_among(word, said) for word in words)

    return mentioned


def gone(since: float | None, about: str) -> Callable[[str, float], bool]:
    """Give what tells, by a text and its time, whether that is to be forgotten."""
    mentioned = mentions(about)

    def is_gone(text: str, at: float) -> bool:
        return (since is None or at >= since) and (not about or mentioned(text))

    return is_gone


def _carries(word: str) -> bool:
    return len(word) > 1 or word.isdigit() or _HAN.match(word) is not None


def _names(text: str) -> frozenset[str]:
    """Tell the numbers, and the words with a capital letter but not at a sentence's beginning."""
    found: set[str] = set()
    for match in _WORD.finditer(text):
        word, before = match.group(), text[: match.start()].rstrip()
        begins = not before or before[-1] in ".!?。！？"
        if word.isdigit() or (word[0].isupper() and not begins):
            found |= content(word)
    return frozenset(found)


def _stem(word: str) -> str:
    return word[: max(_SHORTEST_STEM, len(word) - _STEM)]


def _among(word: str, said: Collection[str]) -> bool:
    if word in said:
        return True
    if not word.isalpha() or _HAN.match(word):
        return False
    if len(word) <= _SHORTEST_STEM:
        return f"{word}s" in said
    stem = _stem(word)
    return any(other.startswith(stem) and len(other) - len(stem) <= _STEM for other in said)
