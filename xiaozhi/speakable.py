"""What a language model writes, without all that is not for the ear.

A model's answer comes in pieces and holds markdown, thoughts, special tokens and emojis. The
text is read from its head, construct by construct. Each construct is a pattern that also
matches every beginning of it and whose group `done` is set once it is complete. So a pattern
that matches up to the end of what is known so far, undone, has to wait; one that stops earlier
never will match. Nothing here depends on how the text was cut into pieces.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final, NamedTuple

import attrs

from xiaozhi import moods

_PLAIN: Final = re.compile(r"[^\n\\`*_~<\[!&]+")
_RAW: Final = re.compile(r"[^`\n]+|`++(?=[^`])")

# At the start of a line.
_DROPPED: Final = (
    r"(?P<done>[ \t\r\u3000]+)",
    # A rule, or the line under a heading.
    r"(?P<sign>[-*_=])(?:(?P=sign)(?:(?P=sign)+[ \t\r]*(?:(?P<done>)(?=\n))?)?)?",
    r"\#{1,6}(?:(?P<done>)(?=\s))?",
    r"[-*+–](?:(?P<done>)(?=\s))?",
    r"(?P<done>[•●▪◦‣])",
    r">(?:(?P<done>)(?=[^=]))?",
    # The box of a task.
    r"\[(?:[ xX](?:\](?:(?P<done>)(?=[ \t]))?)?)?",
)
_TILDES: Final = r"(?P<fence>~(?:~(?:~{1,16})?)?)(?:(?<=~~~)[^~\n][^\n]{0,200})?(?P<done>(?=\n))?"
_ROW: Final = r"\|(?P<row>[^\n]{0,2000})(?P<done>(?=\n))?"

# Anywhere.
_FENCE: Final = r"(?P<fence>`{3,16})[^`\n]{0,200}(?P<done>(?=\n))?"
_TICKS: Final = r"`++(?:(?P<done>)(?=[^`]))?"
_COMMENT: Final = r"<(?:!(?:-(?P<done>-)?)?)?"
_SPECIAL: Final = r"<(?:[|｜](?:[^|｜<>\n]{0,60}(?:[|｜](?P<done>>)?)?)?)?"
_TAG: Final = r"""(?x) <(?P<close>/)? (?: (?P<name>[A-Za-z][A-Za-z0-9:_-]{0,30})
    (?:[ \t]{1,9}[\w:-]{1,30}=(?:"[^"<>\n]{0,300}"|'[^'<>\n]{0,300}'|[^\s"'<>=]{1,300})){0,9}
    (?: [ \t]{0,9}/?(?P<done>>)
      | [ \t]{1,9}(?:[\w:-]{1,30}(?:=(?:"[^"<>\n]{0,300}|'[^'<>\n]{0,300}|[^\s"'<>=]{0,300})?)?|/)?
      | / )? )?"""
_ADDRESS: Final = r"<(?:(?P<address>[a-z]{1,10}:[^\s<>]{0,300})(?P<done>>)?)?"
_NOTE: Final = r"\[(?:\^(?:[^\[\]\n]{0,20}(?P<done>\])?)?)?"
_LINK: Final = r"""(?x) !?(?: \[(?P<text>[^\[\]\n]{0,120})
    (?: \] (?: \( (?:[^()\n]|\([^()\n]{0,200}\)){0,500} (?:\([^()\n]{0,200})?(?P<done>\))? )? )?
    )?"""
_ESCAPE: Final = r"\\(?P<done>[!-/:-@\[-`{-~])?"
_ENTITY: Final = r"&(?:\#?[A-Za-z0-9]{0,8}(?P<done>;)?)?"
_EMPHASIS: Final = r"(?:\*++|_++|~++)(?:(?P<done>)(?=[\s\S]))?"

_BEFORE_IMAGE: Final = " \t\n\r\u3000:：，,(（|"
_BREAKING: Final = frozenset("br p div li ul ol tr table hr h1 h2 h3 h4 h5 h6".split())
_INLINE_TAGS: Final = frozenset("b i u s em strong a code sub sup span font mark small".split())
_HIDDEN: Final = frozenset(
    "think thinking thought reasoning reflection tool_call function_call script style".split()
)
_HIDDEN_TAIL: Final = 64

_PICTOGRAPHS: Final = re.compile(
    "[\U0001f000-\U0001fbff\u2600-\u27bf\u2b00-\u2bff\u231a\u231b\u2328\u23cf\u23e9-\u23ff"
    "\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2194-\u2199\u21a9\u21aa\u2139\u24c2\u2934\u2935"
    "\u3030\u303d\u3297\u3299\u20e3]"
)
_ZERO_WIDTH_JOINER: Final = "\u200d"
_INVISIBLE: Final = re.compile(
    "[\ufe00-\ufe0f\U000e0000-\U000e01ef\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffd"
    "\x00-\x08\x0e-\x1b\x7f]"
)
_PAUSES: Final = ".,!?:;…。，、！？：；)）\"'”’"
_CLOSING: Final = ".,!?:;…。，、！？：；)）]】”’»』」》"
_WIDE: Final = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]")


class _Step(NamedTuple):
    """What to do with the head of the buffer."""

    length: int
    """How many characters it takes."""
    say: str = ""
    """What of it is for the ear."""
    again: str = ""
    """What of it is to be read again, as what follows."""


@attrs.define
class Cleaner:
    """Turn the pieces of one answer into text fit for speech; make a new one for each answer.

    What `feed` returned, joined, and `flush` at the end, is the same however the answer was cut.
    Lines stay lines, since a heading or an item of a list is a sentence of its own.
    """

    moods: list[str] = attrs.field(factory=list, init=False)
    """The emotions of the emojis and the leading markers taken out so far, in order."""
    _buffer: str = attrs.field(default="", init=False)
    _before: str = attrs.field(default="\n", init=False)
    """The character before the buffer."""
    _line_start: bool = attrs.field(default=True, init=False)
    _hidden_until: re.Pattern[str] | None = attrs.field(default=None, init=False)
    _ticks: str = attrs.field(default="", init=False)
    """The backticks that opened the code the buffer starts in."""
    _open: set[str] = attrs.field(factory=set, init=False)
    """The emphasis that is open."""
    _said: str = attrs.field(default="", init=False)
    """The last character that was said."""
    _gap: bool = attrs.field(default=False, init=False)
    """A blank is due before the next character."""
    _emoji: bool = attrs.field(default=False, init=False)
    """Nothing but emojis and blanks came since the last character that was said."""

    def feed(self, piece: str) -> str:
        """Take the next piece; return what is now known to be for the ear, perhaps ""."""
        self._buffer += piece
        said = []
        while self._buffer:
            if self._hidden_until is not None:
                step = self._hide(self._hidden_until)
            elif self._ticks:
                step = self._raw()
            else:
                step = self._read()
            if step is None:
                break
            self._before = self._buffer[step.length - 1]
            self._buffer = step.again + self._buffer[step.length :]
            if step.say:
                self._line_start = step.say.endswith("\n")
                said.append(self._say(step.say))
        return "".join(said)

    def flush(self) -> str:
        """Return what was held back, now that no more comes; an unclosed thought is dropped."""
        # No construct goes beyond its line, but those whose rest is not for the ear.
        return self.feed("\n").removesuffix("\n")

    def _read(self) -> _Step | None:
        """Read the construct at the head of the buffer; None to wait for more."""
        if not self._said and (marker := moods.marker(self._buffer)):
            if not marker.length:
                return None
            self.moods.append(marker.emotion)
            return _Step(marker.length)
        char = self._buffer[0]
        if char == "\n":
            self._open.clear()
            return _Step(1, char)
        if char == "!" and self._before not in _BEFORE_IMAGE:
            return _Step(1, char)
        for pattern, act in _AT_LINE_START if self._line_start else _ANYWHERE:
            match = pattern.match(self._buffer)
            if match is None:
                continue
            if match["done"] is None:
                if match.end() == len(self._buffer):
                    return None
            elif step := act(self, match):
                return step
        plain = _PLAIN.match(self._buffer)
        # Until something is said, a marker may begin at any character.
        return _Step(plain.end(), plain[0]) if plain and self._said else _Step(1, char)

    def _raw(self) -> _Step | None:
        """Read inside `code`, where signs are only signs; it ends with its line at the latest."""
        if self._buffer[0] == "\n":
            self._ticks = ""
            return self._read()
        match = _RAW.match(self._buffer)
        if match is None:
            return None
        if match[0] == self._ticks:
            self._ticks = ""
            return _Step(match.end())
        return _Step(match.end(), match[0])

    def _hide(self, until: re.Pattern[str]) -> _Step | None:
        """Pass over what is not for the ear; keep as much as an end of it may have begun in."""
        if match := until.search(self._buffer):
            self._hidden_until = None
            return _Step(match.end(), "\n" if match[0].startswith("\n") else "")
        passed = len(self._buffer) - _HIDDEN_TAIL
        return _Step(passed) if passed > 0 else None

    def _drop(self, match: re.Match[str]) -> _Step:
        return _Step(match.end())

    def _fence(self, match: re.Match[str]) -> _Step | None:
        fence = match["fence"]
        if len(fence) < 3:
            return None
        self._hidden_until = re.compile(rf"\n[ \t>]{{0,16}}{fence}")
        return _Step(match.end())

    def _row(self, match: re.Match[str]) -> _Step | None:
        """Read a row of a table: its cells, with commas; nothing of the line under its head."""
        row = match["row"].rstrip()
        if not row.endswith("|") and not row.startswith((" ", "\t")):
            return None
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row) if cell.strip()]
        self._line_start = False
        if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            return _Step(match.end())
        return _Step(match.end(), again=("，" if _WIDE.search(row) else ", ").join(cells))

    def _code(self, match: re.Match[str]) -> _Step:
        self._ticks = match[0]
        return _Step(match.end())

    def _comment(self, match: re.Match[str]) -> _Step:
        self._hidden_until = re.compile("-->")
        return _Step(match.end())

    def _tag(self, match: re.Match[str]) -> _Step | None:
        name = match["name"].lower()
        if name in _BREAKING:
            return _Step(match.end(), "\n")
        if name in _HIDDEN:
            if not match["close"] and not match[0].endswith("/>"):
                self._hidden_until = re.compile(rf"</{name}\s{{0,8}}>", re.IGNORECASE)
        elif name not in _INLINE_TAGS and not match["close"] and _is_spaced(self._before):
            return None  # "List<int>" is no markup.
        return _Step(match.end())

    def _address(self, match: re.Match[str]) -> _Step:
        return _Step(match.end(), match["address"])

    def _link(self, match: re.Match[str]) -> _Step:
        self._line_start = False
        return _Step(match.end(), again=match["text"])

    def _escape(self, match: re.Match[str]) -> _Step:
        return _Step(match.end(), match["done"])

    def _entity(self, match: re.Match[str]) -> _Step | None:
        char = html.unescape(match[0])
        return _Step(match.end(), char) if char != match[0] else None

    def _emphasis(self, match: re.Match[str]) -> _Step:
        """Tell a marker of emphasis from a sign of multiplication or a part of a name."""
        run, before, after = match[0], self._before, self._buffer[match.end()]
        opened = run in self._open
        if len(run) > 1:
            spaced = before.isspace() and after.isspace()
            marks = opened or not (spaced or (_is_spaced(before) and _is_spaced(after)))
        elif opened and not before.isspace() and not (run == "_" and _is_spaced(after)):
            marks = True
        else:
            opened = False
            marks = run != "~" and not _is_spaced(before) and not after.isspace()
        if not marks:
            return _Step(len(run), run)
        if opened:
            self._open.discard(run)
        else:
            self._open.add(run)
        return _Step(len(run))

    def _say(self, text: str) -> str:
        """Say `text` without emojis, with one blank for many and none at the start of a line."""
        said = []
        for char in text:
            if char == "\n":
                char = "" if self._said in ("", "\n") else char
                self._gap = False
            elif char.isspace():
                # It ends a sentence: that is worth to be known at once.
                self._gap, char = True, " " if self._said and self._said in _PAUSES else ""
            elif self._is_emoji(char):
                continue
            elif self._gap:
                glued = self._said in ("", "\n", " ") or (self._emoji and char in _CLOSING)
                char = char if glued else " " + char
                self._gap = False
            if char:
                self._emoji = False
                self._said = char[-1]
                said.append(char)
        return "".join(said)

    def _is_emoji(self, char: str) -> bool:
        """Say whether `char` is never said; note its emotion."""
        if _PICTOGRAPHS.match(char):
            self._emoji = self._gap = True
            if emotion := moods.of_emoji(char):
                self.moods.append(emotion)
            return True
        return bool(_INVISIBLE.match(char)) or (char == _ZERO_WIDTH_JOINER and self._emoji)


def clean(text: str) -> str:
    """Return the whole of `text` as it is fit for speech, stripped."""
    cleaner = Cleaner()
    return (cleaner.feed(text) + cleaner.flush()).strip()


def _is_spaced(char: str) -> bool:
    """Say whether `char` is a letter or digit of a script that puts blanks between words."""
    return char.isalnum() and not _WIDE.match(char)


_Act = Callable[[Cleaner, re.Match[str]], _Step | None]
_ANYWHERE: Final[tuple[tuple[re.Pattern[str], _Act], ...]] = (
    (re.compile(_FENCE), Cleaner._fence),
    (re.compile(_TICKS), Cleaner._code),
    (re.compile(_COMMENT), Cleaner._comment),
    (re.compile(_SPECIAL), Cleaner._drop),
    (re.compile(_TAG), Cleaner._tag),
    (re.compile(_ADDRESS), Cleaner._address),
    (re.compile(_NOTE), Cleaner._drop),
    (re.compile(_LINK), Cleaner._link),
    (re.compile(_ESCAPE), Cleaner._escape),
    (re.compile(_ENTITY), Cleaner._entity),
    (re.compile(_EMPHASIS), Cleaner._emphasis),
)
_AT_LINE_START: Final[tuple[tuple[re.Pattern[str], _Act], ...]] = (
    *((re.compile(pattern), Cleaner._drop) for pattern in _DROPPED),
    (re.compile(_TILDES), Cleaner._fence),
    (re.compile(_ROW), Cleaner._row),
    *_ANYWHERE,
)
