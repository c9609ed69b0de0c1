"""An MCP server that is a program of ours: started, spoken to by its pipes, and ended."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
import attrs

from xiaozhi.services.http import short
from xiaozhi.services.mcp.log import Log
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


@attrs.frozen
class Child:
    """A server's process. It carries `Texts`."""

    process: Process
    log: Log
    talk: asyncio.Future[None]
    """Ends when its log does."""

    async def read(self) -> str | None:
        """Give its next line; None when it has ended. Raises Broken."""
        assert self.process.stdout is not None
        while True:
            try:
                line = await self.process.stdout.readline()
            except ValueError as error:  # how a stream says that its limit is reached
                raise Broken(f"it sent a message of more than {LONGEST >> 20} MiB") from error
            if not line:
                await asyncio.wait([self.talk], timeout=GRACE)
                if last := short(self.log.last):
                    raise Broken(f"it closed the connection; its last line was: {last}")
                return None
            if text := line.decode("utf-8", "replace").strip():
                self.log.spoken()
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
    server: Server, environ: Mapping[str, str], log: Log
) -> AsyncGenerator[Child, None]:
    """Start a server, in a process group of its own, and end all of that afterwards.

    What it writes to stderr is for the `log`. Raises OSError if it cannot be started.
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
    talk = asyncio.ensure_future(log.tell(process.stderr))
    try:
        yield Child(process, log, talk)
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
