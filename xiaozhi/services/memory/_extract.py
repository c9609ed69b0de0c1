"""What a user said of themselves, by patterns: the extract that needs no model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from xiaozhi.commands import understand
from xiaozhi.services.memory.phrasing import NOTES
from xiaozhi.services.store import Entry, Fact
from xiaozhi.tokens import shorten, tokens

TOPICS: Final = 3
"""So many of the things said tell what a talk was about: the longest ones."""
_TOPIC: Final = 20
"""Tokens of each."""
_PARTING: Final = re.compile(
    r"(?:你?退[出下]吧?|关闭|再见|拜拜|晚安"
    r"|(?:good ?)?bye(?: bye)?|good night|exit|that(?:['’]s| is) all)\W*",
    re.I,
)
_NAME: Final = re.compile(r"[a-z]_[a-z]|\b\w+\.\w+\.\w+", re.I)
"""A tool's, by which no user speaks of anything."""
_HAN: Final = re.compile("[\u4e00-\u9fff]")


class _Pattern(NamedTuple):
    """How something is said, and the note that is taken of it."""

    said: re.Pattern[str]
    note: str
    topic: str
    """{} stands for what it is about, so that each has one note."""


_CLAUSE = re.compile(
    r"(?:(?!\s(?:and|but|so)\s+(?:i\b|i['’]|my\b|call\b))[^.!?;,\n。！？；，、])+[.!?。！？]?", re.I
)
_QUESTION = re.compile(
    r"[?？]$|[吗呢么][。]?$|^(?:do|does|did|what|who|where|when|why|how|if)\b", re.I
)
_ENDS = re.compile(
    r"\s+(?:and|but|so|because|please|since|when|now|though|which|who|from now on|too)\b.*$", re.I
)
_TAIL = re.compile(r"(?:就行了?|就好了?|就可以了?|好了|吧|啦|了|呀|啊|哦|的)$")
_POINTING = re.compile(
    r"(?:it|that|this|these|those|you|him|her|them|how|what|when|your|to know|a lot|back|later|a|"
    r"an|if|in|at|on|tomorrow|again)\b|[你您他她它这那不起一去来干做声下别把]|自己|.*(?:什么|哪|谁)",
    re.I,
)
"""At its beginning, something that is not told, or means another thing."""
_LONGEST: Final = 60


def _english(said: str, note: str, topic: str) -> _Pattern:
    return _Pattern(
        re.compile(rf"(?:^|\b(?:and|but|so|well|oh|hi|hello)\s+){said}", re.I),
        NOTES[note][0],
        topic,
    )


def _chinese(said: str, note: str, topic: str) -> _Pattern:
    return _Pattern(
        re.compile(rf"^(?:你好|嗯|对了|其实|那|记住|请记住|因为|但是|不过)?{said}"),
        NOTES[note][1],
        topic,
    )


_REALLY = r"(?:(?:really|also|still|just|do|always|absolutely)\s+)*"
_VERY = "(?:真的|也|很|最|特别|非常|比较|还是|一直|超级?|挺)*"
_PATTERNS: Final = (
    _english(r"my name(?:'s|’s| is) (?!not\b)(.+)", "name", "name"),
    _english(r"(?:(?:please|just|you can) )*call me (.+)", "address", "address"),
    _english(rf"i {_REALLY}live in (.+)", "home", "home"),
    _english(rf"i(?:'m|’m| am| come) {_REALLY}from (.+)", "origin", "origin"),
    _english(rf"i {_REALLY}(?:like|love|enjoy) (.+)", "likes", "taste: {}"),
    _english(
        rf"i {_REALLY}(?:hate|don't {_REALLY}like|do not {_REALLY}like|dislike|can't stand) (.+)",
        "dislikes",
        "taste: {}",
    ),
    _english(rf"i(?:'m|’m| am) {_REALLY}allergic to (.+)", "allergy", "allergy: {}"),
    _english(
        rf"i(?:'m|’m| am) (?:not|no longer) {_REALLY}allergic to (.+?)(?: any ?more)?$",
        "no allergy",
        "allergy: {}",
    ),
    _chinese("我(?:的名字)?(?:叫做?|名叫|姓名是|的名字[是叫])(.+)", "name", "name"),
    _chinese("(?:请|你可以|以后|你以后|就|可以)*叫我(.+)", "address", "address"),
    _chinese("我(?:现在|家|就|目前)*住在?(.+)", "home", "home"),
    _chinese("我(?:是从|来自)(.+?)(?:来的)?$", "origin", "origin"),
    _chinese(f"我{_VERY}(?:喜欢|爱吃|爱喝|爱看|爱听|爱)(.+)", "likes", "taste: {}"),
    _chinese(f"我{_VERY}(?:不(?:太|怎么|再)*喜欢|讨厌|不爱)(.+)", "dislikes", "taste: {}"),
    _chinese("我对(.+?)(?<![不没])过敏", "allergy", "allergy: {}"),
    _chinese("我对(.+?)(?:已经)?不(?:再)?过敏", "no allergy", "allergy: {}"),
)


def facts(entries: Sequence[Entry]) -> list[Fact]:
    """Take notes of what the user said of themselves, in order."""
    return [
        fact
        for entry in entries
        if entry.role == "user"
        for clause in _CLAUSE.findall(entry.text)
        for fact in _notes(clause.strip(), entry.at)
    ]


def digest(entries: Sequence[Entry]) -> str:
    """Tell what a talk was about by what the user said most of, in order; "" if of nothing.

    Commands are no topic.
    """
    said = [" ".join(entry.text.split()) for entry in entries if entry.role == "user"]
    talk = [text for text in said if _is_talk(text)]
    phrases = list(dict.fromkeys(shorten(text, _TOPIC).rstrip(".。!！;；") for text in talk))
    # Of what is equally long the later one.
    order = sorted(range(len(phrases)), key=lambda at: (tokens(phrases[at]), at))
    chosen = [phrases[at] for at in sorted(order[-TOPICS:])]
    return ("；" if any(map(_HAN.search, chosen)) else "; ").join(chosen)


def _is_talk(text: str) -> bool:
    """Say whether it is more than a word, and no command or goodbye."""
    if _PARTING.fullmatch(text):
        return False
    return tokens(text) > 1 and not _NAME.search(text) and understand(text, "") is None


def _notes(clause: str, at: float) -> Iterator[Fact]:
    if _QUESTION.search(clause):
        return
    clause = clause.rstrip(".!?。！？ ")
    for pattern in _PATTERNS:
        match = pattern.said.search(clause)
        if match is None:
            continue
        told = _ENDS.sub("", match[1]).strip()
        told = _TAIL.sub("", told).strip()
        if told and len(told) <= _LONGEST and not _POINTING.match(told):
            yield Fact(pattern.note.format(told), at, pattern.topic.format(told.casefold()))
            return
