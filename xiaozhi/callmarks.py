"""Where a call begins that a model writes as text, and where it ends.

As in `speakable`, a beginning is a pattern that also matches every beginning of it, and whose
group `done` is set when it is complete. Where one matches to the end of what is known so far,
undone, more has to come.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import Final

import attrs

from xiaozhi.callforms import ARGUMENTS, BESIDE, NAMES, WRAPPERS
from xiaozhi.laxjson import Extent, Unreadable, past
from xiaozhi.reasoning import (
    ANSWER,
    ANSWERS,
    BRACKET,
    ENDS,
    HARMONY,
    HIDDEN,
    MESSAGE_END,
    MUSING,
    OBSERVATION,
    REACT,
    REASON,
    RECIPIENT,
    STRIPPED,
    THOUGHT_ENDS,
    THOUGHTS,
)
from xiaozhi.undecided import MARGIN, growing

_NAMES: Final = tuple(
    "tool_call tool_calls toolcall toolcalls function_call function_calls tool_code tool_response"
    " function invoke python_tag action_start plugin tool_calls_begin tool_call_begin"
    " tool_calls_section_begin start_action".split()
)
_CLOSERS: Final = tuple(
    "tool_calls_end tool_call_end tool_calls_section_end action_end end_action eom_id eot_id"
    " call".split()
)
WORDS: Final = ("function", "invoke", "plugin")
"""Names that elements and types of other languages have as well."""
_SPACES: Final = ("minimax:", "seed:", "antml:", "dsml|")
"""What some models put before the names of elements."""
ELEMENTS: Final = (
    *(space + name for name in (*_NAMES, *_CLOSERS, *THOUGHTS) for space in ("", *_SPACES)),
    *ENDS,
    *ANSWERS,
)
LABELS: Final = tuple(
    "tool_call tool_calls function_call function_calls call_tool call_function calling_tool"
    " calling_function 调用工具 工具调用 调用函数 函数调用 使用工具".split()
)
"""What stands before a call, with a colon behind it."""
STARTS: Final = "\n。！？"
"""Behind which of these a label may stand."""
HTML: Final = (
    "a address article audio b br button canvas center code data details dialog display em embed"
    " font footer form frame h1 h2 header i image img input label link main map mark menu meter"
    " nav object output p picture pre progress q s script search section select small source span"
    " strong style sub summary table template text time title track u var video".split()
)
"""Elements that are no calls, even if there are tools with their names."""
PRINTED: Final = "print("
API: Final = "default_api."
"""What Gemma writes around a call, and before its name."""
LISTS: Final = ("TOOL_CALLS", "TOOL_CALL", "tool_calls", "tool_call", "THINK")
KEYS: Final = (*NAMES, *ARGUMENTS, *WRAPPERS, *BESIDE)
_PLAIN: Final = str.maketrans("｜▁", "|_")
_FENCE: Final = r"(?P<fence>`{3}[ \t]{0,3}[\w+-]{0,20}\s{0,20}|`{1,2})?"
TAG: Final = re.compile(
    _FENCE
    + growing(
        r"<(?P<close>/)?",
        r"(?P<name>[A-Za-z|｜][\w|｜:▁/.-]{0,60})(?:=[^<>\s]{0,80})?",
        r"(?:\s[^<>]{0,200})?",
        r"(?P<done>>)",
    )
)
LIST: Final = re.compile(
    _FENCE + growing(r"\[(?P<close>/)?", r"(?P<name>[A-Za-z_]{1,12})", r"(?P<done>\])")
)
OBJECT: Final = re.compile(
    _FENCE
    + r"(?:\[\s{0,20})?"
    + growing(
        r"\{\s{0,20}",
        r"[\"'“”‘’]?",
        r"(?P<name>[\w$-]{1,64})",
        r"[\"'“”‘’]?\s{0,5}",
        r"(?P<done>[:：])",
    )
)
PYTHON: Final = re.compile(
    _FENCE + growing(r"\[\s{0,20}", r"(?P<name>[A-Za-z_][\w.]{0,70})", r"(?P<done>\()")
)
KIMI: Final = re.compile(
    growing(
        *"functions",
        r"\.",
        r"(?P<name>[\w-]{1,70})",
        r":",
        r"\d{1,4}\s{0,5}",
        growing(r"<", r"[|｜]", r"\w{0,40}", r"[|｜]", r">"),
        r"(?P<done>\{)",
    )
)
APPLIED: Final = re.compile(
    _FENCE
    + r"(?:print\()?"
    + growing(r"(?P<name>[A-Za-z_][\w.]{0,70})", r"\s{0,3}", r"(?P<done>(?<!\s)\(|\{)")
)
LABEL: Final = re.compile(
    r"\*{0,2}"
    + growing(
        r"(?P<name>[^\W\d][\w ]{0,20})",
        r"\*{0,2}[:：]\*{0,2}\s{0,20}",
        r"(?P<done>(?=[<{\[`A-Za-z_]))",
    )
)
TO: Final = re.compile(
    growing(
        *"to=functions",
        r"\.",
        r"(?P<name>[\w-]{1,80})",
        r"\s{1,5}",
        r"[a-z]{0,10}\s{0,5}",
        r"(?P<done>\{)",
    )
)
SAID_BEFORE: Final = (LABEL, REASON)
"""What is said unless a call is behind it."""
MARKED: Final = (TAG, LIST, HARMONY, BRACKET)
"""What is a call, or a thought, whatever stands in it."""
ALONE: Final = (APPLIED, PYTHON, REACT, TO, MUSING, OBSERVATION, ANSWER, STRIPPED)
"""What may only begin a line: in a sentence it is spoken of."""
KINDS: Final = {
    "<": (TAG, HARMONY),
    "{": (OBJECT,),
    "[": (LIST, OBJECT, PYTHON),
    "◁": (BRACKET,),
    "`": (TAG, LIST, OBJECT, PYTHON, APPLIED),
    "A": (REACT, LABEL, APPLIED),
    "F": (ANSWER, LABEL, APPLIED),
    "O": (OBSERVATION, LABEL, APPLIED),
    "T": (MUSING, REASON, LABEL, APPLIED),
    "a": (STRIPPED, LABEL, APPLIED),
    "f": (LABEL, KIMI, APPLIED),
    "t": (LABEL, TO, APPLIED),
    "": (LABEL, APPLIED),
}
"""What may begin, by its first character."""
_VALUE: Final = re.compile(r"[{(]|\[(?=[^A-Za-z])|<(?=[^|｜])")
_BETWEEN: Final = re.compile(r"[\s,;`}\])]*")


def stem(name: str) -> str:
    """Return the name of an element without what some models put before it."""
    return name.rpartition(":")[2].rpartition("|")[2]


@attrs.frozen
class Found:
    """A beginning."""

    kind: re.Pattern[str]
    match: re.Match[str]

    @property
    def fence(self) -> str:
        """The backticks in front of it."""
        fence = self.match.groupdict().get("fence") or ""
        return fence[: len(fence) - len(fence.lstrip("`"))]

    @property
    def start(self) -> int:
        """Where it starts, without the fence."""
        return self.match.end("fence") if self.fence else self.match.start()

    @property
    def name(self) -> str:
        """What it is called, without what surrounds it; "" if that is not known."""
        name = self.match["name"] or ""
        if self.kind is LABEL:
            return name.strip().replace(" ", "_").lower()
        return name.translate(_PLAIN).lower().strip("|/") if self.kind is TAG else name

    @property
    def closes(self) -> bool:
        """Whether it is the end of an element."""
        if self.kind not in (TAG, LIST, BRACKET):
            return False
        closing = self.match["close"] or self.match["name"].lstrip("|｜").startswith("/")
        return bool(closing) or stem(self.name) in (*_CLOSERS, *ENDS, *ANSWERS)

    @property
    def thought(self) -> bool:
        """Whether it begins what is not for the ear, or ends it."""
        if self.kind is HARMONY:
            header = self.match["header"]
            made_up = self.name == "start" and not header.lstrip().startswith("assistant")
            return made_up or (self.heads and "analysis" in header)
        if self.kind is TAG:
            return stem(self.name) in (*THOUGHTS, *ENDS)
        return self.kind in HIDDEN or (self.kind is LIST and self.name == "THINK")

    @property
    def heads(self) -> bool:
        """Whether it stands before what is for the ear, if that is no thought."""
        to = self.kind is HARMONY and RECIPIENT.search(self.match["header"])
        return self.kind is ANSWER or (self.kind is HARMONY and not to)

    @property
    def closer(self) -> re.Pattern[str]:
        """What its end is."""
        if self.kind is TAG:
            return _closer(self.name)
        if self.kind is LIST and self.name != "THINK":
            return _LIST_END
        return MESSAGE_END if self.kind is HARMONY else HIDDEN.get(self.kind, THOUGHT_ENDS)

    @property
    def single(self) -> bool:
        """Whether it is an element without content."""
        return self.match[0].endswith("/>")

    def cut(self, names: Collection[str]) -> bool:
        """Say whether what breaks off here was to be a call."""
        if self.kind in (APPLIED, LABEL, REASON):
            return False
        if self.kind is PYTHON:
            return self.name in names
        return len(self.name) > 2


class Body:
    """Finds the end of what a marker began."""

    def __init__(self, found: Found) -> None:
        """Look for the end of what was `found`."""
        self.lost = False
        """Whether it was too long, and nothing can be made of it."""
        self._name = found.name
        self._closer = found.closer
        self._start = self._looked = self._at = found.match.end()
        self._extent: Extent | None = None
        self._valued = False
        """Whether a value has come, so that something else is no part of it."""
        self._values = True
        """Whether values are in it, and not elements."""

    def forget(self) -> None:
        """Do not make anything of it any more; its text is gone but for a margin."""
        self.lost = True
        self._values = False
        self._start = self._looked = 1

    def find(self, text: str) -> tuple[int, int] | None:
        """Return the end of the inside and the end of it all, once they have come."""
        close = self._closer.search(text, self._looked)
        self._looked = max(self._start, len(text) - MARGIN)
        end = self._follow(text[: close.start()] if close else text)
        if end:
            return end, end
        return close.span() if close else None

    def last(self, text: str) -> int:
        """Return the end where the answer is over, and no end was told."""
        waiting = self._values and self._valued and self._extent is None
        return self._behind(text) if waiting else len(text)

    def _behind(self, text: str) -> int:
        """Return the index behind the last value and what belongs to it."""
        return len(text[: past(_BETWEEN, text, self._at)].rstrip())

    def _follow(self, text: str) -> int:
        """Go from value to value; return the end where there is something else behind one."""
        try:
            while self._values:
                if self._extent is None and not self._begin(text):
                    return 0
                if self._extent is None:
                    return self._behind(text)
                if not (end := self._extent.find(text)):
                    return 0
                self._at, self._extent, self._valued = end, None, True
        except Unreadable:  # too deep
            self._values = False
        return 0

    def _begin(self, text: str) -> bool:
        """Look for the next value; say whether it has come, or something else."""
        if self._valued:
            at = past(_BETWEEN, text, self._at)
            if at == len(text) or text[at:] == "[":
                return False
            if text[at] != "<":
                if _VALUE.match(text, at):
                    self._extent = Extent(at)
                return True
            tag = TAG.match(text, at)
            if tag is None or tag["done"] is None:
                return tag is None or tag.end() < len(text)
            if (name := Found(TAG, tag).name) not in ELEMENTS or name == self._name:
                return True
            self._at, self._valued = tag.end(), False
        sign = _VALUE.search(text, self._at)
        if sign is None:
            self._at = max(self._at, len(text) - 1)
        elif sign[0] == "<":
            self._values = False
        else:
            self._extent = Extent(sign.start())
        return self._extent is not None


_LIST_END: Final = re.compile(r"\[/(?i:tool_calls?)\]|</s>")


@cache
def _closer(name: str) -> re.Pattern[str]:
    """Return the pattern of the end of an element, in all the ways models write it."""
    plain = stem(name).removesuffix("_begin").removesuffix("_start").removeprefix("start_")
    other = plain.replace("begin_of", "end_of").replace("prefix", "suffix")
    plain = re.escape(plain).replace("_", "[_▁]")
    bar, space = "[|｜]", r"(?:[|｜]DSML[|｜]|[a-z]{2,10}:)?"
    return re.compile(
        rf"<{bar}?/{bar}?{space}(?i:{plain})(?:_begin|_start)?{bar}?\s{{0,8}}>|<{bar}{plain}[_▁]end{bar}>"
        rf"|<{bar}(?i:end_{plain}){bar}>"
        rf"|<{bar}(?i:{other}){bar}>"
        rf"|<{bar}(?:eom_id|eot_id|im_end){bar}>"
    )
