"""What was said in one session, as a model is told it."""

from __future__ import annotations

import re
from collections import deque
from typing import Literal, NamedTuple

from xiaozhi.languages import main

Role = Literal["user", "assistant"]

INTERRUPTED = "…"
"""Ends an answer that was cut off."""

# Letters of scripts that put blanks between words: not those of Chinese and Japanese.
_LETTER = r"[^\W\u3040-\u30ff\u3400-\u9fff]|'"
_IN_WORD = re.compile(_LETTER)
_LAST_WORD = re.compile(rf"(?:{_LETTER})+$")


class Entry(NamedTuple):
    """One thing said, by the user or the assistant."""

    role: Role
    text: str


class Dialogue:
    """The history of one session: bounded, alternating, true to what was heard."""

    def __init__(self, turns: int = 10, language: str = "", otherwise: str = "en") -> None:
        """Remember the last `turns` questions with their answers, and the one being asked.

        `language` is the user's, where that is known; `otherwise` is spoken until it shows.
        """
        self._entries: deque[Entry] = deque(maxlen=2 * turns + 1)
        self._known = bool(language)
        self.language = language or otherwise
        """The user's language: what they set, else the one last spoken."""

    def ask(self, text: str, spoken: str = "") -> str:
        """Note what the user said, `spoken` in that language if known; tell the one to answer in.

        The script decides where it can; a recogniser knows more only among languages that
        share one.
        """
        self._entries.append(Entry("user", text))
        language = main(text, spoken or self.language)
        if not self._known:
            self.language = language
        return language

    def retract(self) -> None:
        """Forget a question that was not answered yet: the user is still asking it."""
        if self._entries and self._entries[-1].role == "user":
            self._entries.pop()

    def answer(self, text: str, whole: bool = True) -> None:
        """Note what the assistant said, as far as it can have been heard."""
        if text:
            self._entries.append(Entry("assistant", text if whole else text + INTERRUPTED))

    def render(self) -> list[Entry]:
        """Give the history as entries of alternating roles, beginning with the user's."""
        rendered: list[Entry] = []
        for entry in self._entries:
            if rendered and rendered[-1].role == entry.role:
                rendered[-1] = Entry(entry.role, f"{rendered[-1].text}\n{entry.text}")
            elif rendered or entry.role == "user":
                rendered.append(entry)
        return rendered


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
