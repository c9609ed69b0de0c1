"""Take calls of tools, and thoughts, out of what a model says, where it writes them as text.

Models have many ways to write a call, and write them anywhere: before, after and within what
they say, in a code fence, with or without the markers they were taught. None of it is for the
ear. So the text is read from its head, and where a call may begin, it is kept until that is
decided. As in `speakable`, a beginning is a pattern that also matches every beginning of it,
and whose group `done` is set when it is complete. Nothing depends on how the text was cut.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator
from typing import Final

from xiaozhi.callforms import on_offer
from xiaozhi.callmarks import (
    ALONE,
    APPLIED,
    KINDS,
    LIST,
    MARKED,
    OBJECT,
    PRINTED,
    PYTHON,
    SAID_BEFORE,
    STARTS,
    TAG,
    Body,
    Found,
)
from xiaozhi.laxjson import Extent, Unreadable
from xiaozhi.offer import Offer, own
from xiaozhi.reasoning import (
    ANSWER,
    LONG_REASON,
    MUSING,
    NEVER,
    OBSERVATION,
    REACT,
    REASON,
    STRIPPED,
)
from xiaozhi.tooling import Call
from xiaozhi.undecided import MARGIN, Undecided

LONGEST: Final = 8000
"""Characters of a call. What is longer is dropped if it was marked as one, else it is text."""

_OPENING: Final = re.compile(
    r"[<{\[`◁]|(?<![\w.])functions\.|(?<=\n)[A-Za-z_*]"
    r"|(?<=[\n。！？])[调工函使]"
)
"""Where a call may begin."""
_TAIL: Final = re.compile(r"(?<![\w.])[a-z.]{1,10}\Z")
_INSIDE: Final = re.compile(
    r"(?:\s|`{3}\w{0,20}|`)*+(?:(?P<sign>[{\[<])|(?P<name>[\w.-]{1,80}+)(?=[^\w.-])|[^\s`\w.-])"
)
"""What an element begins with: a value, another element, a name, or what is none of a call's."""
_LINE: Final = re.compile(r"[ \t;,`]*+(?:(?P<end>\n)|.)")
"""What is behind something on its line."""
_REST: Final = re.compile(r"[^\n]*(?=\n)")
_SIGN: Final = re.compile(r"[<{\[`◁]|functions\.")
_BEHIND: Final = re.compile(r"(?P<braces>\}{0,3})\s{0,40}(?P<ticks>`{0,3})")


class Sieve:
    """Takes the calls out of one answer; make a new one for each answer.

    What `feed` returned, joined, and `flush` at the end, is the same however the answer was cut.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        """Take the `names` of the tools on offer, as the model was told them."""
        self._offer = Offer.of(names)
        self._kept: Undecided[Call] = Undecided()
        self._deaf = 0
        """Until this character of the answer a value that has no marker is no call."""
        self._acted = False
        """Whether it is certain that the answer is in the way of ReAct, with its labels."""
        self._doubted = False
        """Whether what was labelled as a thought was none."""
        self._ticks = ""
        """The end of a fence that is still to come, and is to be dropped."""
        self._reading = self._read()

    def feed(self, piece: str) -> list[str | Call]:
        """Take the next piece; return what is now known to be text, and the calls."""
        self._kept.text += piece
        next(self._reading, None)
        return self._kept.taken()

    def flush(self) -> list[str | Call]:
        """Return what was kept, now that no more comes. An unfinished call is dropped."""
        self._kept.ended = True
        return self.feed("")

    def _read(self) -> Generator[None, None, None]:
        """Read the answer; wait for more of it at every `yield`."""
        while True:
            self._kept.say(self._next())
            if len(self._kept.text) > 1:
                yield from self._try()
            elif self._kept.ended:
                return
            else:
                yield

    def _next(self) -> int:
        """Return where a call may begin next, or the end of the text."""
        if opening := _OPENING.search(self._kept.text, 1):
            return opening.start()
        tail = _TAIL.search(self._kept.text, 1)
        if tail and not self._kept.ended and "functions.".startswith(tail[0]):
            return tail.start()
        return len(self._kept.text)

    def _try(self) -> Generator[None, None, None]:
        """Read the call at the head of the text, or say that it is none."""
        kept = self._kept
        while (found := self._beginning()) and found.match["done"] is None and not kept.ended:
            yield
        if found and found.match["done"] is None:
            if found.cut(self._offer.names):
                kept.drop(len(kept.text))
                return
            self._doubted = self._doubted or found.kind is REASON
            found = None
        if found is None and self._ticks and kept.text.startswith(self._ticks, 1):
            kept.drop(1 + len(self._ticks))
            self._ticks = ""
        elif found is None:
            kept.say(2)
        else:
            yield from self._take(found)

    def _take(self, found: Found) -> Generator[None, None, None]:
        """Read what is found, each in its way."""
        kept = self._kept
        if found.kind is REASON and self._offer.acts(kept.text[found.match.end() :]):
            kept.drop(found.match.end(), "\n")
            self._acted = True
        elif found.kind in SAID_BEFORE:
            self._keep(found)
        elif found.thought:
            yield from self._think(found)
        elif found.heads:
            kept.drop(found.match.end(), "\n")
        elif found.kind in (TAG, LIST) and (found.closes or found.single):
            kept.found(self._offer.inside(found, "") if found.single else [])
            kept.drop(found.match.end())
        elif found.kind in MARKED:
            yield from self._marked(found)
        elif found.kind is REACT and found.match["done"] != "{":
            yield from self._line(found)
        else:
            yield from self._bare(found)

    def _keep(self, found: Found) -> None:
        """Keep a label until it is known what is behind it. With other signs in it, it is read."""
        label = self._kept.text[1 : found.match.end()]
        if found.kind is REASON and _SIGN.search(label):
            self._doubted = True
            self._kept.say(2)
            return
        self._kept.drop(found.match.end(), "\n")
        self._kept.label = label

    def _beginning(self) -> Found | None:
        """Find what begins at the head of the text, or may begin there (not yet `done`)."""
        if self._kept.text.startswith("``"):
            return None  # in the middle of a fence
        undecided = None
        deaf = self._kept.passed < self._deaf
        for kind in KINDS.get(self._kept.text[1], KINDS[""]):
            if kind is REASON and self._doubted:
                continue
            match = kind.match(self._kept.text, 1)
            assert match is not None, "each may be empty"
            found = Found(kind, match)
            if kind is REASON and match.end() > LONG_REASON:
                self._doubted = True
            if (deaf and kind not in MARKED) or not self._placed(found):
                continue
            if match["done"] is None and match.end() < len(self._kept.text):
                continue
            more = match.end("name") < len(self._kept.text)
            if not found.name or self._offer.fits(found, more):
                if match["done"] is not None:
                    return found
                undecided = undecided or found
        return undecided

    def _placed(self, found: Found) -> bool:
        """Say whether it may stand here. In a sentence, functions and labels are spoken of."""
        if found.kind in SAID_BEFORE:
            return self._kept.text[0] in STARTS and not self._kept.label
        if found.kind in (MUSING, OBSERVATION) and not self._acted:
            return False
        if found.kind is STRIPPED and self._kept.passed:
            return False
        if found.kind is ANSWER and not self._acted:
            return not self._kept.passed
        loose = found.kind in ALONE and len(found.fence) < 3
        return not loose or self._kept.text[0] == "\n"

    def _think(self, found: Found) -> Generator[None, None, None]:
        """Pass over a thought: a call in it is a draft. Its end may stand by itself.

        Such an end is told as the one that all know, so that others can drop what is before it.
        """
        if (yield from self._mentioned(found)):
            return
        self._kept.drop(found.match.end(), "\n")
        if found.closes:
            self._kept.put("</think>")
        elif not found.single:
            yield from self._kept.skip(found.closer)

    def _mentioned(self, found: Found) -> Generator[None, None, bool]:
        """Drop a marker that is alone in its backticks: it is only spoken of."""
        kept = self._kept
        while found.fence and len(kept.text) == found.match.end() and not kept.ended:
            yield
        if not found.fence or not kept.text.startswith("`", found.match.end()):
            return False
        self._ticks = found.fence
        kept.drop(found.match.end())
        return True

    def _line(self, found: Found) -> Generator[None, None, None]:
        """Read the input of an action that is no object: it has its line, if there is any."""
        kept, first = self._kept, found.match.end() - 1
        given = ""
        if "\n" not in kept.text[found.match.end("name") : first].rpartition("Input")[2]:
            while not (line := _REST.match(kept.text, first)) and not kept.ended:
                yield
            end = line.end() if line else len(kept.text)
            given, first = kept.text[first:end].strip(), end
        kept.found(self._offer.acted(found.name, given))
        self._acted = True
        kept.drop(first, "\n")

    def _marked(self, found: Found) -> Generator[None, None, None]:
        """Read what is between a marker and its end, which some models leave out."""
        kept = self._kept
        if (yield from self._mentioned(found)):
            return
        if not (yield from self._holds(found)):
            kept.say(2)
            return
        body, inside = Body(found), found.match.end()
        while True:
            end = body.find(kept.text[:LONGEST])
            over = not end and (kept.ended or len(kept.text) >= LONGEST)
            if not body.lost and self._offer.prose(found, kept.text[inside:LONGEST], over):
                kept.drop(inside)
                return
            if end:
                break
            if len(kept.text) >= LONGEST:
                kept.drop(LONGEST - MARGIN)
                body.forget()
                continue
            if kept.ended:
                break
            yield
        last, behind = end or (body.last(kept.text),) * 2
        start = found.start if own(found) else inside
        if not body.lost and found.name != "tool_response":
            kept.found(self._offer.inside(found, kept.text[start:last], bool(end)))
        kept.drop(behind)
        yield from self._behind(found.fence)
        if found.name == "tool_response" and kept.things:
            yield from kept.skip(NEVER)  # it answered its call itself

    def _holds(self, found: Found) -> Generator[None, None, bool]:
        """Say whether a marker is one. A name, or a word of XML, too, must have a call in it."""
        if not self._offer.doubtful(found):
            return True
        while (
            not (inside := _INSIDE.match(self._kept.text, found.match.end()))
            and not self._kept.ended
        ):
            yield
        if inside is None:  # the answer is over
            return True
        return inside["sign"] is not None or bool(on_offer(inside["name"] or "", self._offer.names))

    def _bare(self, found: Found) -> Generator[None, None, None]:
        """Read a value, or an application of a name, that stands without a marker."""
        first = found.start if found.kind in (OBJECT, PYTHON) else found.match.start("done")
        if self._kept.text.startswith(PRINTED, found.start):
            first = found.start + len(PRINTED) - 1
        extent, end = Extent(first), 0
        while True:
            try:
                end = extent.find(self._kept.text[:LONGEST])
            except Unreadable:
                break
            if end or self._kept.ended or len(self._kept.text) >= LONGEST:
                break
            yield
        while end and found.kind is APPLIED and len(found.fence) < 3 and not self._kept.ended:
            if line := _LINE.match(self._kept.text, end):
                end = end if line["end"] else 0
                break
            yield
        cut = self._kept.ended and not end and len(self._kept.text) < LONGEST
        text = self._kept.text[found.start : end or None] if end or cut else ""
        calls = self._offer.alone(found, text, bool(end))
        if calls or (cut and self._offer.meant(found, text)):
            self._acted = self._acted or found.kind is REACT
            self._kept.found(calls)
            self._kept.drop(end or len(self._kept.text))
            yield from self._behind(found.fence)
        else:
            self._deaf = self._kept.passed + (end or extent.at) - 1
            self._kept.say(2)

    def _behind(self, fence: str) -> Generator[None, None, None]:
        """Drop what belongs to the call behind it: braces too many, the end of the fence."""
        fence, self._ticks = fence or self._ticks, ""
        while True:
            match = _BEHIND.match(self._kept.text, 1)
            assert match is not None, "it may be empty"
            if fence and match["ticks"].startswith(fence):
                self._kept.drop(match.start("ticks") + len(fence))
                return
            known = match.end() if fence else match.end("braces")
            if known < len(self._kept.text) or self._kept.ended:
                self._ticks = fence
                self._kept.drop(match.end("braces"))
                return
            yield
