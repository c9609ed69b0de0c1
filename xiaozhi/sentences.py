"""Pieces of text into sentences for a speaker, each as soon as it is complete.

A mark ends a sentence either for certain ("。", a newline) or perhaps ("3." may become "3.14"):
then what follows decides, and has to be waited for. Where a sentence ends depends on the text
alone, not on the pieces it came in; only the marks that follow a certain end ("。”", "？！")
stay with the sentence if they are known when it leaves, and are dropped if they come later.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

import attrs

# Of Chinese, Japanese, Hindi, Arabic, Urdu, Armenian, Ethiopic, Burmese, Khmer and Tibetan.
_CERTAIN: Final = frozenset(
    "。！？；｡\u0964\u0965\u061f\u06d4\u0589\u1362\u104a\u104b\u17d4\u17d5\u0f0d"
)
_PERHAPS: Final = frozenset(".!?…‼⁇⁈⁉")
_COMMAS: Final = frozenset("，、：,;:،؛")
_OPENERS: Final = "（(【[《〈「『“‘‹«〔｛{"
_CLOSERS: Final = "）)】]》〉」』”’›»〕｝}"
_QUOTES: Final = frozenset("\"'")
_TAIL: Final = _CERTAIN | _PERHAPS | frozenset(_CLOSERS)
_MARKS: Final = _TAIL | _COMMAS | _QUOTES
_LONGEST_TAIL: Final = 16

_WIDE_RANGES: Final = (
    r"\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
    r"\U00020000-\U0003ffff"
)
_WIDE: Final = re.compile(f"[{_WIDE_RANGES}]")
_DENSE: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\uac00-\ud7af]")
_WORD: Final = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
_SPACES: Final = re.compile(r"[^\S\n]+")

# A sentence's weight is about the time it takes to say: a third is one letter of an alphabet.
_WEIGHT_WIDE: Final = 10
_WEIGHT_DENSE: Final = 6
_WEIGHT: Final = 3
_HEAVIEST: Final = 600
"""60 wide characters or 200 letters."""

# The first sentence may leave at a comma after 8 wide characters or 5 words, or a mixture.
_OPENING_WIDE: Final = 5
_OPENING_WORD: Final = 8
_OPENING: Final = 40

_TITLES: Final = frozenset(
    "mr mrs ms dr prof st mt ft sr jr gen col lt sgt capt cmdr adm rev hon pres gov sen rep "
    "messrs mme mlle sra srta dra vs cf viz al approx ca tp ts ths pgs gs bs kts ks cn".split()
)
"""Abbreviations that something always follows."""
_COUNTED: Final = frozenset(
    "no nos nr vol pp p ch chap fig figs sec art eq ver jan feb mar apr jun jul aug sep sept oct "
    "nov dec tel ext".split()
)
"""Words that are abbreviations before a number."""
_LATE: Final = frozenset({"a.m", "p.m", "v.v", "ph.d", "b.c", "a.d"})
"""Abbreviations that may end a sentence."""
_INITIALS: Final = re.compile(r"(?:[A-Za-zÀ-ỹ]\.)*[A-Za-zÀ-ỹ]")
_LAST_WORD: Final = re.compile(rf"[^\s\"'“‘「『（(【\[{_WIDE_RANGES}]*\Z")
_ORDINAL: Final = re.compile(r"\W*(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})")

_End = int | Literal["wait"] | None
"""Where something ends; or nothing ends there; or more text has to tell."""


@attrs.define
class Splitter:
    """Cut one answer into sentences; make a new one for each answer.

    For the sentences of a text, however it was cut into pieces:

    - each has a letter or a digit, no blank at its ends, and is at most about 200 letters or
      60 Chinese characters long;
    - one after the other they are the text in its order: left out are blanks about sentences,
      marks that follow a certain end too late, and pieces without letter or digit; a run of
      blanks in a sentence is one;
    - but for the marks (full stops, closing quotes and brackets) at their ends, they are the
      same.

    The first one may end at a comma, since someone waits for it.
    """

    _text: str = attrs.field(default="", init=False)
    """What has not left yet; it starts where a sentence starts."""
    _first: bool = attrs.field(default=True, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    """A sentence ended where the text starts: marks that come now were its own."""
    _quotes: int = attrs.field(default=0, init=False)
    """How many straight double quotes the line had, before the text."""

    def feed(self, text: str) -> list[str]:
        """Take the next piece; return the sentences that are now complete, in order."""
        self._text = _SPACES.sub(" ", self._text + text)
        return self._cut(last=False)

    def flush(self) -> list[str]:
        """Return the rest, now that no more comes."""
        sentences = self._cut(last=True)
        self._leave(len(self._text), sentences)
        return sentences

    def _cut(self, last: bool) -> list[str]:
        sentences: list[str] = []
        while True:
            self._pass_marks()
            end = self._end(last)
            if end is None:
                return sentences
            self._leave(end, sentences)

    def _leave(self, end: int, sentences: list[str]) -> None:
        """Let the text up to `end` leave, if it can be spoken."""
        piece, self._text = self._text[:end], self._text[end:]
        self._quotes = 0 if piece.endswith("\n") else self._quotes + piece.count('"')
        self._ended = piece[-1:] in _MARKS
        if any(char.isalnum() for char in piece):
            sentences.append(piece.strip())
            self._first = False

    def _pass_marks(self) -> None:
        """Drop the blanks the text starts with, and the marks of the sentence before."""
        start = 0
        for char in self._text:
            if char.isspace():
                self._ended = False
                if char == "\n":
                    self._quotes = 0
            elif not self._ended or not self._is_mark(char):
                break
            self._quotes += char == '"'
            start += 1
        self._text = self._text[start:]

    def _end(self, last: bool) -> int | None:
        """Find where the sentence the text starts with ends; None if that is not yet known."""
        weight = 0
        for index, char in enumerate(self._text):
            end: _End = None
            if char == "\n":
                return index + 1
            if char in _CERTAIN or char in _PERHAPS:
                end = self._full_stop(index, last)
            elif self._first and char in _COMMAS:
                end = self._comma(index, last)
            if end == "wait":
                return None
            if end is not None:
                return end
            weight += _weigh(char)
            if weight > _HEAVIEST:
                return _best_break(self._text[: index + 1])
        return None

    def _is_mark(self, char: str) -> bool:
        """Say whether `char` at the start of the text belongs to the sentence before."""
        return char in _TAIL or char in _COMMAS or (char == '"' and self._quotes % 2 == 1)

    def _full_stop(self, start: int, last: bool) -> _End:
        """Judge the mark at `start` that may end the sentence."""
        text = self._text
        certain, quoted, end = self._is_certain(start), False, start + 1
        quotes = self._quotes + text.count('"', 0, start)
        while end < min(len(text), start + _LONGEST_TAIL):
            char = text[end]
            lone = char in _QUOTES and not certain
            if not (lone or char in _TAIL or (char == '"' and quotes % 2)):
                break
            certain = certain or char in _CERTAIN
            quotes += char == '"'
            quoted = quoted or char in _QUOTES or char in _CLOSERS
            end += 1
        if certain or (last and end == len(text)):
            return end
        after = text[end : end + 2]
        if not after.strip(" ") and not (after and not quoted and text[start] in "!?"):
            return end if last else "wait"
        ends = self._ends_before(after, start, end, quoted)
        return end if ends else None

    def _is_certain(self, index: int) -> bool:
        """Say whether the mark there ends a sentence whatever follows."""
        if self._text[index] in _CERTAIN:
            return True
        if self._text[index] == ".":
            return False
        before = next((char for char in reversed(self._text[:index]) if char.isalnum()), "")
        return bool(_WIDE.match(before))

    def _ends_before(self, after: str, start: int, end: int, quoted: bool) -> bool:
        """Say whether the sentence whose marks are from `start` to `end` ends before `after`."""
        visible = after.strip(" ")[:1]
        if visible == "\n":
            return True
        if not after[0].isspace() and not _WIDE.match(visible) and visible not in "“「『（《【":
            return False
        marks = self._text[start:end]
        if "!" in marks or "?" in marks:
            return not (quoted and visible.islower())
        return _may_stop(self._text[:start], marks.count(".") > 1 or "…" in marks, visible)

    def _comma(self, index: int, last: bool) -> _End:
        """Judge the comma at `index`, where the first sentence may end early."""
        before, char, after = self._text[:index], self._text[index], self._text[index + 1 :][:1]
        if not _is_opening(before, self._quotes):
            return None
        if char.isascii() or before[-1:].isdigit():
            if not after:
                return None if last else "wait"
            if after.isdigit() or (char.isascii() and not (after.isspace() or _WIDE.match(after))):
                return None
        return index + 1


def _may_stop(before: str, ellipsis: bool, visible: str) -> bool:
    """Say whether a full stop after `before` ends the sentence if `visible` follows."""
    if visible.islower():
        return False
    if ellipsis:
        return True
    found = _LAST_WORD.search(before)
    word = found[0] if found else ""
    key = word.lower()
    if key in _LATE:
        return True
    if key in _COUNTED:
        return not visible.isdigit()
    ordinal = _ORDINAL.fullmatch(before.strip())
    return not (ordinal or key in _TITLES or _INITIALS.fullmatch(word))


def _is_opening(text: str, quotes: int) -> bool:
    """Say whether `text` is long enough to be spoken before the rest, and no quote is open."""
    opened = sum(text.count(char) for char in "（(【[《「『“")
    closed = sum(text.count(char) for char in "）)】]》」』”")
    if opened > closed or (quotes + text.count('"')) % 2:
        return False
    words = len(_WORD.findall(_WIDE.sub(" ", text)))
    return len(_WIDE.findall(text)) * _OPENING_WIDE + words * _OPENING_WORD >= _OPENING


def _weigh(char: str) -> int:
    if char < "\u0e00":
        return _WEIGHT
    if _WIDE.match(char):
        return _WEIGHT_WIDE
    return _WEIGHT_DENSE if _DENSE.match(char) else _WEIGHT


def _best_break(text: str) -> int:
    """Choose where to cut a `text` that is too long: after a comma, at a blank, or in need."""
    least = len(text) // 3
    for index in range(len(text) - 2, least, -1):
        wide = text[index] in _COMMAS and not text[index].isascii()
        if (wide and not text[index - 1].isdigit()) or (
            text[index] in _COMMAS and text[index + 1].isspace()
        ):
            return index + 1
    blank = text.rfind(" ", least)
    if blank > 0:
        return blank + 1
    for index in range(len(text) - 1, least, -1):
        if not _is_joined(text[index - 1], text[index]):
            return index
    return len(text) - 1


def _is_joined(left: str, right: str) -> bool:
    """Say whether two characters are better not torn apart."""
    if unicodedata.category(right).startswith("M") or right in _TAIL or right in _COMMAS:
        return True
    if left in _OPENERS or right == "\u200d" or left == "\u200d":
        return True
    return not (_WIDE.match(left) or _WIDE.match(right))
