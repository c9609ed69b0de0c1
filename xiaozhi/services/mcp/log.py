"""What an MCP server that is a program of ours writes to its log (stderr)."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Collection

from xiaozhi.limits import Bucket

_LINE = 500
"""Characters of a line of its log that are kept in ours."""
_LINES = 20
"""Lines that may come at once; one a second on average."""
_LAST = 10
"""Lines that are told all the same when it ends: the cause of an end is in the last of them."""
_KNOWN = 64
"""Lines by which it is seen that it fails as it did before."""
_NUMBER = re.compile(r"\d+")
"""Of a line: the time, or a process; it differs where the line is the same."""


class Log:
    """What a server writes to its log (stderr), told in lines, not without end.

    It outlives the process: one that ends again and again before it has said anything is heard
    once.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Tell it to `say`."""
        self.last = ""
        """The last line of the process there is, or was."""
        self._say = say
        self._told: set[str] = set()
        self._before: set[str] = set()
        self._held: deque[str] = deque(maxlen=_LAST)
        self._untold = 0

    async def tell(self, stream: asyncio.StreamReader) -> None:
        """Tell the lines of a process that has just begun, and how many there were besides."""
        allowed, clock = Bucket(1, _LINES), asyncio.get_running_loop()
        self.last, self._before, self._told = "", self._told, set()
        rest = b""
        try:
            while data := await stream.read(8192):
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-_LINE * 4 :]
                for line in lines:
                    self._hear(line, allowed, clock.time())
            self._hear(rest, allowed, clock.time())
        finally:
            self._rest(self._held)

    def spoken(self) -> None:
        """Have the server said something: it works, and what it writes now is news."""
        self._before = set()

    def _hear(self, line: bytes, allowed: Bucket, now: float) -> None:
        text = line.decode("utf-8", "replace").strip()[:_LINE]
        if not text:
            return
        self.last = text
        form = _NUMBER.sub("", text)
        if len(self._told) < _KNOWN:
            self._told.add(form)
        if form in self._before:
            return
        if allowed.take(now):
            self._rest([])
            self._say(text)
        else:
            self._untold += 1
            self._held.append(text)

    def _rest(self, lines: Collection[str]) -> None:
        """Be done with what is held: tell these of it, and how many the others are."""
        if more := self._untold - len(lines):
            self._say(f"({more} more lines)")
        for line in lines:
            self._say(line)
        self._held.clear()
        self._untold = 0
