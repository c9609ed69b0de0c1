"""What was said in one session, as a model is told it.

It is bounded by tokens. Nothing is dropped until there are too many; then a whole chunk is taken
out at once, down to half, so that between turns what is rendered only grows at its end, and
providers can cache what stands before. What was taken out is `summary` from then on: first an
extract that needs no model, and, once somebody has condensed `excess`, what a model made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeVar

from xiaozhi.languages import main
from xiaozhi.tokens import shorten, tokens

Role = Literal["user", "assistant"]

INTERRUPTED = "…"
"""Ends an answer that was cut off."""

LONGEST: Final = 60_000
"""Characters of a session that are kept, whether a model is told them or not."""
EXTRACTED: Final = 24
"""Tokens of each thing the user said that an extract has."""

# Letters of scripts that put blanks between words: not those of Chinese and Japanese.
_LETTER = r"[^\W\u3040-\u30ff\u3400-\u9fff]|'"
_IN_WORD = re.compile(_LETTER)
_LAST_WORD = re.compile(rf"(?:{_LETTER})+$")


class Entry(NamedTuple):
    """One thing said, by the user or the assistant."""

    role: Role
    text: str
    at: float = 0.0
    """When, in seconds of whichever clock was read; 0 where entries were joined."""


class Excess(NamedTuple):
    """What is to be condensed: give it back with the summary."""

    summary: str
    """What was condensed before."""
    entries: tuple[Entry, ...]
    """What was said after that, and is not told to the model any more."""
    until: int
    """How many entries there had been by then."""
    era: int
    """How many times something had been forgotten."""


class Dialogue:
    """The history of one session: bounded, alternating, true to what was heard."""

    def __init__(
        self,
        budget: int = 2000,
        language: str = "",
        otherwise: str = "en",
        turns: int | None = None,
    ) -> None:
        """Remember about `budget` tokens, and the question being asked whatever its length.

        `turns` bounds the questions before that one, too. `language` is the user's, where that
        is known; `otherwise` is spoken until it shows.
        """
        self._budget = budget
        self._turns = turns
        self._known = bool(language)
        self.language = language or otherwise
        """The user's language: what they set, else the one last spoken."""
        self._said: list[Entry] = []
        """All that was said, but for what was dropped at its beginning."""
        self._dropped = 0
        """How many entries those were."""
        self._length = 0
        """Characters of those that are left."""
        self._start = 0
        """The first entry the model is told."""
        self._held = 0
        """Tokens of the entries from there on."""
        self._condensed = ""
        """A model's summary of the entries before `_until`."""
        self._until = 0
        self._era = 0

    # -- what is said --

    def ask(self, text: str, spoken: str = "", at: float = 0.0) -> str:
        """Note what the user said, `spoken` in that language if known; tell the one to answer in.

        The script decides where it can; a recogniser knows more only among languages that
        share one. `at` never decreases.
        """
        self._append(Entry("user", text, at))
        language = main(text, spoken or self.language)
        if not self._known:
            self.language = language
        return language

    def retract(self) -> None:
        """Forget a question that was not answered yet: the user is still asking it."""
        if self._said and self._said[-1].role == "user":
            self._cut(len(self._said) - 1)

    def answer(self, text: str, whole: bool = True, at: float = 0.0) -> None:
        """Note what the assistant said, as far as it can have been heard."""
        if text:
            self._append(Entry("assistant", text if whole else text + INTERRUPTED, at))

    def forget(
        self, since: float | None = None, mentions: Callable[[str], bool] | None = None
    ) -> None:
        """Drop what was said since then, or ever; only what `mentions` something, if that is told.

        What was condensed of it goes as well, or is being condensed: a summary may tell of a thing
        in other words. What is left is condensed anew.
        """

        def gone(entry: Entry) -> bool:
            return (since is None or entry.at >= since) and (
                mentions is None or mentions(entry.text)
            )

        self._era += 1
        if mentions or len(spared(self._said[: self._until], gone)) < self._until or since is None:
            self._condensed = ""
            self._until = 0
        older, told = (
            spared(part, gone) for part in (self._said[: self._start], self._said[self._start :])
        )
        self._said, self._start = older + told, len(older)
        self._length = sum(len(entry.text) for entry in self._said)
        self._held = sum(tokens(entry.text) for entry in told)

    def before(self) -> float | None:
        """Tell when what came before the last question was asked; None if that was nothing."""
        asked = [entry.at for entry in self._said if entry.role == "user"]
        return asked[-2] if len(asked) > 1 else None

    # -- what a model is told --

    def render(self) -> list[Entry]:
        """Give the history as entries of alternating roles, beginning with the user's."""
        rendered: list[Entry] = []
        for role, text, _ in self._said[self._start :]:
            if rendered and rendered[-1].role == role:
                rendered[-1] = Entry(role, f"{rendered[-1].text}\n{text}")
            elif rendered or role == "user":
                rendered.append(Entry(role, text))
        return rendered

    @property
    def summary(self) -> str:
        """What was said before that, in about a quarter of the budget; "" if that is nothing."""
        newest_first = (self._said[at] for at in range(self._start - 1, self._until - 1, -1))
        return extract(self._condensed, newest_first, self._budget // 4)

    @property
    def excess(self) -> Excess | None:
        """What should be condensed, if anything, by somebody who has a model."""
        entries = tuple(self._said[self._until : self._start])
        if not entries:
            return None
        return Excess(self._condensed, entries, self._dropped + self._start, self._era)

    def condense(self, excess: Excess, summary: str) -> None:
        """Take the `summary` of an excess, unless some of it was to be forgotten meanwhile."""
        until = excess.until - self._dropped
        if excess.era == self._era and until >= self._until:
            self._condensed = shorten(" ".join(summary.split()), self._budget // 4)
            self._until = min(until, self._start)

    # -- what is kept --

    def said(self) -> list[Entry]:
        """Give all that was said, with its times, beginning with the user; the last of it if long.

        Neighbours may have the same role.
        """
        first = next((at for at, entry in enumerate(self._said) if entry.role == "user"), None)
        return [] if first is None else self._said[first:]

    def _append(self, entry: Entry) -> None:
        self._said.append(entry)
        self._length += len(entry.text)
        self._held += tokens(entry.text)
        questions = [
            place
            for place, said in enumerate(self._said[self._start :], self._start)
            if said.role == "user"
        ]
        before = questions[:-1] if entry.role == "user" else questions
        if self._held > self._budget or (self._turns is not None and len(before) > self._turns):
            self._take_out(questions)
        if self._length > LONGEST:
            self._drop()

    def _take_out(self, questions: list[int]) -> None:
        """Go on with half of what there may be, from one of the places of `questions`."""
        most = None if self._turns is None else self._turns // 2 + 1
        for place in questions[-most:] if most else questions:
            self._begin(place)
            if self._held <= self._budget // 2:
                break

    def _begin(self, place: int) -> None:
        self._held -= sum(tokens(entry.text) for entry in self._said[self._start : place])
        self._start = place

    def _drop(self) -> None:
        """Keep half of what may be kept, and all that the model is told."""
        gone = 0
        while gone < self._start and self._length > LONGEST // 2:
            self._length -= len(self._said[gone].text)
            gone += 1
        del self._said[:gone]
        self._dropped += gone
        self._start -= gone
        self._until = max(0, self._until - gone)

    def _cut(self, first: int) -> None:
        """Drop the entries from `first` on."""
        self._length -= sum(len(entry.text) for entry in self._said[first:])
        self._held -= sum(tokens(entry.text) for entry in self._said[max(first, self._start) :])
        del self._said[first:]
        self._start = min(self._start, first)
        self._until = min(self._until, first)


class Said(Protocol):
    """Something that was said, by "user" or by "assistant"."""

    @property
    def role(self) -> str:
        """Who said it."""


S = TypeVar("S", bound=Said)


def spared(entries: Sequence[S], gone: Callable[[S], bool]) -> list[S]:
    """Tell what is left where some entries are to be `gone`: a question goes with its answers."""
    left: list[S] = []
    exchange: list[S] = []
    for entry in entries:
        if entry.role == "user":
            left += [] if any(map(gone, exchange)) else exchange
            exchange = []
        exchange.append(entry)
    return left + ([] if any(map(gone, exchange)) else exchange)


def extract(summary: str, newest_first: Iterable[Entry], most: int) -> str:
    """Go on with a `summary` by what the user said in some entries, each cut short.

    It has at most about so many tokens: the oldest is left out first, and not even looked at.
    """
    left = max(most - tokens(summary), most // 2)  # what is newer has half of it, if need be
    kept: list[str] = []
    taken = 0
    for entry in newest_first:
        if entry.role == "user":
            line = shorten(" ".join(entry.text.split()), EXTRACTED)
            taken += tokens(line) + 1
            if taken > left:
                taken -= tokens(line) + 1
                break
            kept.insert(0, line)
    return "\n".join(filter(None, [shorten(summary, most - taken), *kept]))


def cut(text: str, share: float) -> str:
    """Cut `text` to the part heard when a `share` (0..1) of its sound was played.

    Cuts before the word that was not finished; in Chinese, after a character.
    """
    if share >= 1:
        return text
    length = int(len(text) * max(share, 0))
    heard = text[:length]
    if _IN_WORD.match(text, length):
        heard = _LAST_WORD.sub("", heard)
    return heard.rstrip()
