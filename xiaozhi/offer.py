"""The tools on offer: what a call of one begins with, and what is made of what stands there."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

import attrs

from xiaozhi.callforms import WRAPPERS, broken, calls_in, element, on_offer, shaped
from xiaozhi.callmarks import (
    API,
    APPLIED,
    ELEMENTS,
    HTML,
    KEYS,
    KIMI,
    LABEL,
    LABELS,
    LIST,
    LISTS,
    OBJECT,
    PRINTED,
    TAG,
    TO,
    WORDS,
    Found,
    stem,
)
from xiaozhi.laxjson import Unreadable, read
from xiaozhi.reasoning import ACTION, ANSWERS, BRACKET, HARMONY, HEADS, REACT, RECIPIENT
from xiaozhi.tooling import Call

_OWN: Final = re.compile(r"=\s?[\"']?(?P<name>[\w.:-]+)")
_SHORT: Final = 40
"""Characters of an unfinished value that are not worth to be said."""
_PIECE: Final = re.compile(r"\s*(?:[{\[(<`]|[\w.-]{0,80}(?<!\.)(?:\s*\Z|\s*[{\[(<:=`]))", re.ASCII)
"""What a call begins with, behind a marker: a sign, or a name with a sign or nothing behind it."""
_NO_SIGN: Final = re.compile(r"[^{\[(<`]{200}")
_STYLED: Final = re.compile(r"(?i)\s*</?(?:a|b|br|code|em|h\d|i|li|ol|p|span|strong|u|ul)\b[^<>]*>")
_WORD: Final = re.compile(r"\s*(?P<name>[\w.-]{1,80})")


@attrs.frozen
class Offer:
    """The tools on offer, by what a call of one may begin with."""

    names: frozenset[str]
    tags: Mapping[str, str]
    """Those that can be told from elements of a text, in lower case: the names."""
    _choices: Mapping[re.Pattern[str], Collection[str]]
    """What the names of some kinds of beginnings may be; those of others are of tools."""

    @classmethod
    def of(cls, names: Collection[str]) -> Offer:
        """Look at the `names` of tools."""
        named = frozenset(names)
        tags = {name.lower(): name for name in named if name.lower() not in (*ELEMENTS, *HTML)}
        choices: dict[re.Pattern[str], Collection[str]] = {
            TAG: (*ELEMENTS, *tags),
            LIST: LISTS,
            OBJECT: (*KEYS, *sorted(named)),
            APPLIED: (PRINTED, *named, *(f"{API}{name}" for name in named)),
            LABEL: LABELS,
            HARMONY: HEADS,
            BRACKET: ("k",),
        }
        return cls(named, tags, choices)

    def fits(self, found: Found, more: bool) -> bool:
        """Say whether a call may begin with a name, or, unless `more` is behind it, with more."""
        if found.kind is KIMI:
            return True
        choices = self._choices.get(found.kind, self.names)
        if more:
            barred = found.kind is not TAG or found.name not in ANSWERS
            return found.name in choices and (barred or "|" in found.match["name"])
        return any(choice.startswith(found.name) for choice in choices)

    def inside(self, found: Found, text: str, whole: bool = True) -> list[Call]:
        """Make calls of what is between a marker and its end."""
        if found.kind is HARMONY and (to := RECIPIENT.search(found.match["header"])):
            name = on_offer(to["name"], self.names) or to["name"].removeprefix("functions.")
            return element(name, "", text, self.names, whole)
        if tool := self.tags.get(found.name):
            return element(tool, found.match[0], text, self.names, whole)
        return calls_in(text, self.names, whole)

    def alone(self, found: Found, text: str, whole: bool) -> list[Call]:
        """Make calls of what stands without a marker, if they are."""
        if found.kind in (REACT, TO):
            given = text[found.match.start("done") - found.start :]
            return element(found.name, "", given, self.names, whole)
        if found.kind is not OBJECT:
            return calls_in(text, self.names, whole)
        try:
            return shaped(read(text), self.names, marked=False)
        except Unreadable:
            return broken(text, self.names) if whole else []

    def acts(self, text: str) -> bool:
        """Say whether what is behind a thought makes certain that it is one of ReAct."""
        action = ACTION.match(text)
        return text.startswith("Final") or bool(action and action["name"] in self.names)

    def acted(self, name: str, given: str) -> list[Call]:
        """Make the call of an action of ReAct, whose input is no object."""
        nothing = given.strip("\"'.").lower() in ("", "none", "null", "n/a", "nothing", "无")
        return [Call("", name, {} if nothing else given)]

    def doubtful(self, found: Found) -> bool:
        """Say whether a marker is one only with a call in it: a tool's name, or a word of XML."""
        if found.kind is not TAG:
            return False
        own = _OWN.search(found.match[0])
        word = (found.match["name"] or "").lower() in WORDS or found.name in self.tags
        return word and not (own and on_offer(own["name"], self.names))

    def prose(self, found: Found, inside: str, over: bool) -> bool:
        """Say whether what is behind a marker, and has no end, is certainly no call.

        Then the marker was only spoken of. As long as it is not `over`, the call may be to come.
        """
        told = found.kind is HARMONY or own(found) or found.name == "tool_response"
        if told or set(found.match["name"]) & set("|｜"):
            return False
        if not over:
            return bool(_NO_SIGN.match(inside))
        if _STYLED.match(inside):
            return not inside.rstrip().endswith(">")
        word = _WORD.match(inside)
        known = word is not None and on_offer(word["name"], self.names)
        return not known and not _PIECE.match(inside)

    def meant(self, found: Found, text: str) -> bool:
        """Say whether what is unfinished at the end of the answer was to be a call."""
        known = found.kind is not OBJECT or found.name in WRAPPERS or len(text) < _SHORT
        return known or any(name in text for name in self.names)


def own(found: Found) -> bool:
    """Say whether a marker has the name of a tool in it."""
    return stem(found.name) in ("function", "invoke") and "=" in found.match[0]
