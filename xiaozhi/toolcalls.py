"""Take the calls of tools out of what a model says, where it writes them as text.

Models have many ways to write a call, and write them anywhere: before, after and within what
they say, in a code fence, with or without the markers they were taught. None of it is for the
ear. So the text is read from its head, and where a call may begin, it is kept until that is
decided. As in `speakable`, a beginning is a pattern that also matches every beginning of it,
and whose group `done` is set when it is complete. Nothing depends on how the text was cut.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Mapping
from typing import Final

import attrs

from xiaozhi.callforms import WRAPPERS, broken, calls_in, element, on_offer, shaped
from xiaozhi.callmarks import (
    API,
    APPLIED,
    ELEMENTS,
    HARMONY,
    HTML,
    KEYS,
    KIMI,
    KINDS,
    LABEL,
    LABELS,
    LIST,
    LISTS,
    MARGIN,
    MARKED,
    OBJECT,
    PRINTED,
    PYTHON,
    REACT,
    SAID_BEFORE,
    STARTS,
    TAG,
    THOUGHTS,
    TO,
    WORDS,
    Body,
    Found,
    stem,
)
from xiaozhi.laxjson import Extent, Unreadable, read
from xiaozhi.tooling import Call

LONGEST: Final = 8000
"""Characters of a call. What is longer is dropped if it was marked as one, else it is text."""

_OPENING: Final = re.compile(
    r"[<{\[`]|(?<![\w.])functions\.|(?<=\n)[A-Za-z_*]"
    r"|(?<=[\n。！？])[调工函使]"
)
"""Where a call may begin."""
_TAIL: Final = re.compile(r"(?<![\w.])[a-z.]{1,10}\Z")
_OWN: Final = re.compile(r"=\s?[\"']?(?P<name>[\w.:-]+)")
_INSIDE: Final = re.compile(
    r"(?:\s|`{3}\w{0,20}|`)*+(?:(?P<sign>[{\[<])|(?P<name>[\w.-]{1,80}+)(?=[^\w.-])|[^\s`\w.-])"
)
"""What an element begins with: a value, another element, a name, or what is none of a call's."""
_LINE: Final = re.compile(r"[ \t;,`]*+(?:(?P<end>\n)|.)")
"""What is behind something on its line."""
_BEHIND: Final = re.compile(r"(?P<braces>\}{0,3})\s{0,40}(?P<ticks>`{0,3})")
_SHORT: Final = 40
"""Characters of an unfinished value that are not worth to be said."""


@attrs.frozen
class _Offer:
    """The tools on offer, by what a call of one may begin with."""

    names: frozenset[str]
    tags: Mapping[str, str]
    """Those that can be told from elements of a text, in lower case: the names."""
    elements: tuple[str, ...]
    keys: tuple[str, ...]
    applied: tuple[str, ...]

    @classmethod
    def of(cls, names: Collection[str]) -> _Offer:
        """Look at the `names` of tools."""
        named = frozenset(names)
        tags = {name.lower(): name for name in named if name.lower() not in (*ELEMENTS, *HTML)}
        return cls(
            named,
            tags,
            (*ELEMENTS, *tags),
            (*KEYS, *sorted(named)),
            (PRINTED, *named, *(f"{API}{name}" for name in named)),
        )


class Sieve:
    """Takes the calls out of one answer; make a new one for each answer.

    What `feed` returned, joined, and `flush` at the end, is the same however the answer was cut.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        """Take the `names` of the tools on offer, as the model was told them."""
        self._offer = _Offer.of(names)
        self._out: list[str | Call] = []
        self._text = "\n"
        """What is not decided, behind the character that stood before it."""
        self._passed = 0
        """Characters of the answer before `_text`."""
        self._deaf = 0
        """Until this character of the answer a value that has no marker is no call."""
        self._label = ""
        """What is said only if no call is behind it."""
        self._ticks = ""
        """The end of a fence that is still to come, and is to be dropped."""
        self._ended = False
        self._reading = self._read()

    def feed(self, piece: str) -> list[str | Call]:
        """Take the next piece; return what is now known to be text, and the calls."""
        self._text += piece
        next(self._reading, None)
        out, self._out = self._out, []
        return out

    def flush(self) -> list[str | Call]:
        """Return what was kept, now that no more comes. An unfinished call is dropped."""
        self._ended = True
        return self.feed("")

    def _read(self) -> Generator[None, None, None]:
        """Read the answer; wait for more of it at every `yield`."""
        while True:
            self._say(self._next())
            if len(self._text) > 1:
                yield from self._try()
            elif self._ended:
                return
            else:
                yield

    def _next(self) -> int:
        """Return where a call may begin next, or the end of the text."""
        if opening := _OPENING.search(self._text, 1):
            return opening.start()
        tail = _TAIL.search(self._text, 1)
        if tail and not self._ended and "functions.".startswith(tail[0]):
            return tail.start()
        return len(self._text)

    def _try(self) -> Generator[None, None, None]:
        """Read the call at the head of the text, or say that it is none."""
        while (found := self._beginning()) and found.match["done"] is None and not self._ended:
            yield
        if found and found.match["done"] is None:
            if found.cut(self._offer.names):
                self._drop(len(self._text))
                return
            found = None
        if found is None and self._ticks and self._text.startswith(self._ticks, 1):
            self._drop(1 + len(self._ticks))
            self._ticks = ""
        elif found is None:
            self._say(2)
        elif found.kind in SAID_BEFORE:
            label = self._text[1 : found.match.end()]
            self._drop(found.match.end(), "\n")
            self._label = label
        elif found.kind is TAG and found.name in THOUGHTS:
            yield from self._think(found)
        elif found.kind is TAG and (found.closes or found.single):
            self._out.extend(self._inside(found, "") if found.single else ())
            self._drop(found.match.end())
        elif found.kind in MARKED:
            yield from self._marked(found)
        else:
            yield from self._bare(found)

    def _beginning(self) -> Found | None:
        """Find what begins at the head of the text, or may begin there (not yet `done`)."""
        if self._text.startswith("``"):
            return None  # in the middle of a fence
        undecided = None
        deaf = self._passed < self._deaf
        for kind in KINDS.get(self._text[1], KINDS[""]):
            match = kind.match(self._text, 1)
            assert match is not None, "each may be empty"
            found = Found(kind, match)
            if (deaf and kind not in MARKED) or not self._placed(found):
                continue
            if match["done"] is None and match.end() < len(self._text):
                continue
            if not found.name or self._fits(found):
                if match["done"] is not None:
                    return found
                undecided = undecided or found
        return undecided

    def _placed(self, found: Found) -> bool:
        """Say whether it may stand here. In a sentence, functions and labels are spoken of."""
        if found.kind in SAID_BEFORE:
            return self._text[0] in STARTS and not self._label
        loose = found.kind in (APPLIED, PYTHON, REACT, TO) and len(found.fence) < 3
        return not loose or self._text[0] == "\n"

    def _fits(self, found: Found) -> bool:
        """Say whether a name is one that a call may begin with, or the beginning of one."""
        if found.kind in (KIMI, HARMONY):
            return True
        choices: Collection[str] = self._offer.names
        name = found.name
        if found.kind in (TAG, LIST, OBJECT, APPLIED, LABEL):
            choices = {
                TAG: self._offer.elements,
                LIST: LISTS,
                OBJECT: self._offer.keys,
                APPLIED: self._offer.applied,
                LABEL: LABELS,
            }[found.kind]
        if found.match.end("name") < len(self._text):
            return name in choices
        return any(choice.startswith(name) for choice in choices)

    def _think(self, found: Found) -> Generator[None, None, None]:
        """Pass over a thought: a call in it is a draft. Its end may stand by itself."""
        closer = re.compile(rf"</{found.name}\s{{0,8}}>", re.IGNORECASE)
        self._say(found.match.end())
        if found.closes or found.single:
            return
        while not (close := closer.search(self._text, 1)):
            self._say(max(1, len(self._text) - (0 if self._ended else MARGIN)))
            if self._ended:
                return
            yield
        self._say(close.end())

    def _marked(self, found: Found) -> Generator[None, None, None]:
        """Read what is between a marker and its end, which some models leave out."""
        while found.fence and len(self._text) == found.match.end() and not self._ended:
            yield
        if found.fence and self._text.startswith("`", found.match.end()):
            self._ticks = found.fence  # it is only spoken of
            self._drop(found.match.end())
            return
        own = stem(found.name) in ("function", "invoke") and "=" in found.match[0]
        if not (yield from self._holds(found)):
            self._say(2)
            return
        body = Body(found.match.end(), found.kind, found.name)
        while not (end := body.find(self._text[:LONGEST])):
            if len(self._text) >= LONGEST:
                self._drop(LONGEST - MARGIN)
                body.forget()
                continue
            if self._ended:
                break
            yield
        inside, behind = end or (body.last(self._text),) * 2
        start = found.start if own else found.match.end()
        if not body.lost and found.name != "tool_response":
            self._out.extend(self._inside(found, self._text[start:inside], bool(end)))
        self._drop(behind)
        yield from self._behind(found.fence)

    def _inside(self, found: Found, text: str, whole: bool = True) -> list[Call]:
        """Make calls of what is between a marker and its end."""
        if tool := self._offer.tags.get(found.name):
            return element(tool, found.match[0], text, self._offer.names, whole)
        return calls_in(text, self._offer.names, whole)

    def _holds(self, found: Found) -> Generator[None, None, bool]:
        """Say whether a marker is one. A name, or a word of XML, too, must have a call in it."""
        doubtful = found.name in self._offer.tags or (found.match["name"] or "").lower() in WORDS
        if found.kind is not TAG or not doubtful:
            return True
        if (own := _OWN.search(found.match[0])) and on_offer(own["name"], self._offer.names):
            return True
        while not (inside := _INSIDE.match(self._text, found.match.end())) and not self._ended:
            yield
        if inside is None:  # the answer is over
            return True
        return inside["sign"] is not None or bool(on_offer(inside["name"] or "", self._offer.names))

    def _bare(self, found: Found) -> Generator[None, None, None]:
        """Read a value, or an application of a name, that stands without a marker."""
        first = found.start if found.kind in (OBJECT, PYTHON) else found.match.start("done")
        if self._text.startswith(PRINTED, found.start):
            first = found.start + len(PRINTED) - 1
        extent, end = Extent(first), 0
        while True:
            try:
                end = extent.find(self._text[:LONGEST])
            except Unreadable:
                break
            if end or self._ended or len(self._text) >= LONGEST:
                break
            yield
        while end and found.kind is APPLIED and len(found.fence) < 3 and not self._ended:
            if line := _LINE.match(self._text, end):
                end = end if line["end"] else 0
                break
            yield
        cut = self._ended and not end and len(self._text) < LONGEST
        text = self._text[found.start : end or None] if end or cut else ""
        calls = self._calls(found, text, bool(end))
        if calls or (cut and self._meant(found)):
            self._out.extend(calls)
            self._drop(end or len(self._text))
            yield from self._behind(found.fence)
        else:
            self._deaf = self._passed + (end or extent.at) - 1
            self._say(2)

    def _calls(self, found: Found, text: str, whole: bool) -> list[Call]:
        """Make calls of what stands without a marker, if they are."""
        if found.kind in (REACT, TO):
            given = text[found.match.start("done") - found.start :]
            return element(found.name, "", given, self._offer.names, whole)
        if found.kind is not OBJECT:
            return calls_in(text, self._offer.names, whole)
        try:
            return shaped(read(text), self._offer.names, marked=False)
        except Unreadable:
            return broken(text, self._offer.names) if whole else []

    def _meant(self, found: Found) -> bool:
        """Say whether what is unfinished at the end of the answer was to be a call."""
        text = self._text[found.start :]
        known = found.kind is not OBJECT or found.name in WRAPPERS or len(text) < _SHORT
        return known or any(name in text for name in self._offer.names)

    def _behind(self, fence: str) -> Generator[None, None, None]:
        """Drop what belongs to the call behind it: braces too many, the end of the fence."""
        fence, self._ticks = fence or self._ticks, ""
        while True:
            match = _BEHIND.match(self._text, 1)
            assert match is not None, "it may be empty"
            if fence and match["ticks"].startswith(fence):
                self._drop(match.start("ticks") + len(fence))
                return
            known = match.end() if fence else match.end("braces")
            if known < len(self._text) or self._ended:
                self._ticks = fence
                self._drop(match.end("braces"))
                return
            yield

    def _say(self, end: int) -> None:
        if end > 1:
            said, self._label = self._label + self._text[1:end], ""
            if self._out and isinstance(before := self._out[-1], str):
                self._out[-1] = before + said
            else:
                self._out.append(said)
            self._text = self._text[end - 1 :]
            self._passed += end - 1

    def _drop(self, end: int, before: str = " ") -> None:
        """Pass over what is not said; take `before` for what stood before the rest."""
        self._label = ""
        self._text = before + self._text[end:]
        self._passed += end - 1
