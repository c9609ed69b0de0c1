"""Mind: language models. The interface of a model, and the list that tries them in order."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

import attrs

from xiaozhi import languages
from xiaozhi.errors import ServiceError
from xiaozhi.services.deadline import Deadlines, timed
from xiaozhi.services.roster import PATIENCE, UNABLE, Member, Roster
from xiaozhi.speakable import Cleaner
from xiaozhi.toolcalls import Sieve
from xiaozhi.tooling import Call, Tool

DEADLINES: Final = Deadlines(first=12.0, gap=10.0, whole=90.0)
"""A last resort, since what speaks over a network has shorter ones of its own."""
LONGEST: Final = 20_000
"""Characters of an answer, thoughts and markup included, after which it will never end."""
ENOUGH: Final = 200
"""Characters of an answer that show that a model is well."""
MOST_CALLS: Final = 32
"""Calls in one answer, after which it will never end."""


class Message(NamedTuple):
    """One entry of a conversation, as a model is given it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[Call, ...] = ()
    """What the assistant wanted to be done, beside what it said."""
    call_id: str = ""
    """Of a tool's message: the call whose result it is."""


Piece: TypeAlias = str | Call
"""What an answer is made of."""


class Model(Protocol):
    """An engine of this kind: see `xiaozhi.services.engine`."""

    languages: Collection[str]
    """Primary subtags, or {"*"}."""

    def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer to the last message in pieces, as they come.

        An async generator; `language` is the one the user should be answered in. `tools`, whose
        names are legal, are what the model may call; a `Call` is yielded as soon as it is whole.
        Raises ServiceError. Closing it (aclose) stops the generation where it takes place.
        """


def whole_characters(text: str) -> str:
    """Replace halves of characters, which servers that cut emojis in two send."""
    return text.encode("utf-8", "replace").decode()


class Minds(Roster[Model]):
    """Models in the order they are tried."""

    stage = "llm"
    title = "language model"
    usual = DEADLINES

    def reply(
        self,
        messages: Sequence[Message],
        language: str,
        tools: Sequence[Tool] = (),
        first: Sequence[Member[Model]] = (),
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer of the first model that has one.

        Models that can do `language` are asked first, and among them those of `first`. One that
        fails before anything that can be spoken or done is followed by the next at once. Raises
        ServiceError when one fails after that, or when all have failed.
        """

        def attempt(member: Member[Model]) -> AsyncGenerator[Piece, None]:
            pieces = speakable(member.engine.reply(messages, language, tools), tools)
            return timed(pieces, self.reactor, "llm", self.patience(member))

        def rank(model: Model) -> int:
            return 0 if languages.can(model.languages, {language}) else UNABLE

        return self.stream(self.order(rank, first), attempt)

    async def probe(self, engine: Model) -> None:
        """Have a word with a model."""
        patience = Deadlines(PATIENCE, PATIENCE, PATIENCE)
        asked = engine.reply([Message("user", "Hello")], "en")
        async with aclosing(timed(speakable(asked), self.reactor, "llm", patience)) as pieces:
            length = 0
            async for piece in pieces:
                length += len(piece) if isinstance(piece, str) else 0
                if length > ENOUGH:
                    return


@attrs.frozen
class Preferring:
    """The models as somebody asks them who prefers some to the usual order."""

    minds: Minds
    first: Sequence[Member[Model]] = ()

    def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer of the first model that has one: see `Minds.reply`."""
        return self.minds.reply(messages, language, tools, self.first)


async def speakable(
    pieces: AsyncGenerator[Piece, None], tools: Sequence[Tool] = ()
) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of an answer once there is something in them to speak, or to do.

    Until then they are kept: thoughts and blanks are no answer, so another model can still take
    over. Raises ServiceError if there never is, or if there is no end to it.
    """
    cleaner = Cleaner()
    kept: list[str] = []
    begun = False
    async with aclosing(sifted(pieces, tools)) as parts:
        async for part in parts:
            if begun:
                yield part
                continue
            call = isinstance(part, Call)
            if isinstance(part, str):
                kept.append(part)
                begun = bool(cleaner.feed(part).strip())
            if begun or call:
                begun = True
                if kept:
                    yield "".join(kept)
            if call:
                yield part
    if not begun:
        if not cleaner.flush().strip():
            raise ServiceError("llm", "the answer was empty")
        yield "".join(kept)


async def sifted(
    pieces: AsyncGenerator[Piece, None], tools: Sequence[Tool]
) -> AsyncGenerator[Piece, None]:
    """Yield text that is none but text, and calls, those that were written as text among them.

    Every call has an id. Where no tools are offered there are none. Raises ServiceError if
    there is no end to it.
    """
    sieve = Sieve([tool.name for tool in tools])
    length = calls = 0
    async with aclosing(_ended(pieces)) as ended:
        async for piece in ended:
            if isinstance(piece, str):
                text = whole_characters(piece)
                length += len(text)
                parts: Sequence[Piece] = sieve.feed(text)
            else:
                parts = sieve.flush() if piece is None else [piece]
            calls += sum(isinstance(part, Call) for part in parts)
            if length > LONGEST or calls > MOST_CALLS:
                raise ServiceError("llm", "the answer has no end")
            for part in parts:
                if isinstance(part, str):
                    yield part
                elif tools:
                    yield part if part.id else attrs.evolve(part, id=secrets.token_hex(5)[1:])


async def _ended(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece | None, None]:
    """Yield the pieces, and None at the end."""
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece
    yield None
