"""The offline brain: answers by rules, with nothing but this process. The last rung."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from datetime import datetime, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta

from xiaozhi.errors import Unavailable
from xiaozhi.services import engine
from xiaozhi.services.llm import Message, Piece
from xiaozhi.services.llm.offline.intents import respond
from xiaozhi.services.llm.offline.question import ask
from xiaozhi.tooling import Tool


class Settings(engine.Settings, frozen=True):
    """Settings of the offline brain."""

    timezone: Annotated[
        str, Meta(description='Where it tells the time of, as in "Asia/Shanghai". Empty: here.')
    ] = "${XIAOZHI_TIMEZONE:-}"


class Model:
    """A table of rules in Chinese and English. It never fails and never waits."""

    languages: Collection[str] = frozenset({"zh", "en"})
    writes = False
    """It answers people, and can do nothing with an instruction."""

    def __init__(
        self,
        settings: Settings,
        workshop: engine.Workshop,
        now: Callable[[tzinfo | None], datetime] = datetime.now,
        chance: random.Random | None = None,
    ) -> None:
        """Take what tells the time `now` (the wall clock) and what throws the dice.

        Raises Unavailable if there is no such time zone.
        """
        self._zone = _zone(settings.timezone)
        self._now = now
        self._chance = chance or random.Random()

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer in one piece; in English where the user's language is another."""
        yield respond(ask(messages, language, self._now(self._zone), self._chance))


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Unavailable(f"there is no time zone {name!r}", f"没有时区 {name!r}") from error
