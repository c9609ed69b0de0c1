"""An MCP server that is a program of ours: started, spoken to by its pipes, and ended."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
import attrs

from xiaozhi.limits import Bucket
from xiaozhi.services.mcp.settings import Server
from xiaozhi.services.mcp.texts import Broken

LONGEST: Final = 4 * 2**20
"""Bytes of a message."""
INHERITED: Final = (
    *("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"),
)
"""What of our environment a server is given."""
GRACE: Final = 1.0
"""Seconds to end by itself when its input ends, and again when it is told to (SIGTERM)."""

_LINE = 500
"""Characters of a line of its log that are kept in ours."""
_LINES = 20
"""Lines that may come at once; one a second on average."""


@attrs.frozen
class Child:
    """A server's process. It carries `Texts`."""

    process: Process

    async def read(self) -> str | None:
        """Give its next line; None when it has ended. Raises Broken."""
        assert self.process.stdout is not None
        while True:
            try:
                line = await self.process.stdout.readline()
            except ValueError as error:  # how a stream says that its limit is reached
                raise Broken(f"it sent a message of more than {LONGEST >> 20} MiB") from error
            if not line:
                return None
            if text := line.decode("utf-8", "replace").strip():
                return text

    async def write(self, text: str) -> None:
        """Send it a line; it is lost if the process has ended."""
        pipe = self.process.stdin
        assert pipe is not None
        with suppress(ConnectionError):
            pipe.write(text.encode() + b"\n")
            await pipe.drain()


@asynccontextmanager
async def child(
    server: Server, environ: Mapping[str, str], say: Callable[[str], None]
) -> AsyncGenerator[Child, None]:
    """Start a server, in a process group of its own, and end all of that afterwards.

    What it writes to its log (stderr) is told to `say`, in lines, not without end. Raises OSError
    if it cannot be started.
    """
    env = {name: environ[name] for name in INHERITED if name in environ} | dict(server.env)
    with anyio.CancelScope(shield=True):  # or a process that has just been made would be lost
        process = await asyncio.create_subprocess_exec(
            *(server.command, *server.args),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=server.cwd or None,
            env=env,
            start_new_session=True,
            limit=LONGEST,
        )
    assert process.stderr is not None
    talk = asyncio.ensure_future(_tell(process.stderr, say))
    try:
        yield Child(process)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
            talk.cancel()
            await asyncio.wait([talk])


async def _end(process: Process) -> None:
    """Close its input, ask it to end, make it end: and with it what it has started."""
    assert process.stdin is not None
    process.stdin.close()
    for order in (signal.SIGTERM, signal.SIGKILL):
        with anyio.move_on_after(GRACE):
            await process.wait()
        # The group is there as long as anything in it is, even when its leader has ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, order)
    with anyio.move_on_after(GRACE):
        await process.wait()


async def _tell(stream: asyncio.StreamReader, say: Callable[[str], None]) -> None:
    """Tell the lines of a server's log, and how many there were that are not told."""
    allowed, clock = Bucket(1, _LINES), asyncio.get_running_loop()
    rest, untold = b"", 0
    while data := await stream.read(8192):
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[-_LINE * 4 :]
        for line in lines:
            text = line.decode("utf-8", "replace").strip()[:_LINE]
            if not text:
                continue
            if not allowed.take(clock.time()):
                untold += 1
                continue
            if untold:
                say(f"({untold} more lines)")
                untold = 0
            say(text)
