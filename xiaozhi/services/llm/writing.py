"""Have a model write what nobody will hear: notes, summaries, JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from xiaozhi import languages
from xiaozhi.errors import Absent
from xiaozhi.services.deadline import timed
from xiaozhi.services.llm import Message, Model, Preferring, whole_characters
from xiaozhi.services.roster import UNABLE, Member


async def write(
    asked: Preferring, instruction: str, text: str, language: str
) -> AsyncGenerator[str, None]:
    """Yield what the first mind that can writes of `text`, as the `instruction` says, as it is.

    Nothing is cleaned, since nothing is spoken. Raises Absent if only rules are left, which
    write nothing, and ServiceError if all fail.
    """
    minds = asked.minds
    messages = [Message("system", instruction), Message("user", text)]

    async def attempt(member: Member[Model]) -> AsyncGenerator[str, None]:
        pieces = member.engine.reply(messages, language)
        async with aclosing(timed(pieces, minds.reactor, "llm", minds.patience(member))) as written:
            async for piece in written:
                if isinstance(piece, str):  # it has no tools to call
                    yield whole_characters(piece)

    def rank(model: Model) -> int:
        return 0 if languages.can(model.languages, {language}) else UNABLE

    members = minds.order(rank, asked.first)
    able = [member for member in members if getattr(member.engine, "writes", True)]
    if not able:
        raise Absent("llm", "there is no model that writes")
    async with aclosing(minds.stream(able, attempt)) as pieces:
        async for piece in pieces:
            yield piece
