"""An MCP server that has come to us, over a connection that carries its texts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

WAITING: Final = 1024
"""Texts of a server that may wait to be read."""
HEAVIEST: Final = 2**23
"""Characters of them, together."""


class Guest:
    """One such server. It carries `Texts`, whatever its connection is."""

    def __init__(self, send: Callable[[str], None], hang_up: Callable[[str], None]) -> None:
        """Take what sends it a text, and what ends its connection, with why."""
        self._send = send
        self._hang_up = hang_up
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self._weight = 0

    def feed(self, text: str) -> bool:
        """Take a text of its; False if too many wait already."""
        self._weight += len(text)
        if self._texts.qsize() >= WAITING or self._weight > HEAVIEST:
            return False
        self._texts.put_nowait(text)
        return True

    def gone(self) -> None:
        """Note that its connection has ended."""
        self._texts.put_nowait(None)

    async def read(self) -> str | None:
        """Give its next text; None when its connection has ended."""
        text = await self._texts.get()
        self._weight -= len(text or "")
        return text

    async def write(self, text: str) -> None:
        """Send it a text."""
        self._send(text)

    def close(self) -> None:
        """End its connection."""
        self._hang_up("it is used no more")
