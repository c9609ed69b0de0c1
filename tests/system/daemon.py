"""A server as a daemon, for tests."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import treq
from twisted.web.client import Agent

from tests.system.server import ServerCase, reactor

TWISTD = str(Path(sys.executable).parent / "twistd")
QUIET = "llm: [{use: offline}]\nasr: [{use: pocketsphinx}]\ntts: [{use: espeak}]\n"


class DaemonCase(ServerCase):
    """A test with a folder of its own, and daemons that are gone when it ends."""

    timeout = 40

    def setUp(self) -> None:
        # Others must be able to enter it: the server may become another user.
        folder = tempfile.TemporaryDirectory(prefix="xiaozhi-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.folder.chmod(0o755)
        self.pidfile = self.folder / "pid"
        self.logfile = self.folder / "log"

    def _log(self) -> str:
        return self.logfile.read_text() if self.logfile.exists() else "(no log)"

    def _pid(self) -> int:
        return int(self.pidfile.read_text())

    async def get(self, port: int, path: str, host: str = "127.0.0.1") -> str:
        """Fetch a page."""
        reply = await Agent(reactor).request(b"GET", f"http://{host}:{port}{path}".encode())
        text: str = await treq.text_content(reply)
        return text

    async def daemonized(self, *options: str) -> tuple[int, int]:
        """Start a daemon; give its port and its pid."""
        launcher = self.command(
            TWISTD, f"--pidfile={self.pidfile}", f"--logfile={self.logfile}", *options,
            "xiaozhi", "--config", self.configuration(QUIET),
            STATE_DIRECTORY=str(self.folder / "state"),
        )  # fmt: skip
        self.assertEqual(await launcher.ended, 0, launcher.text)
        pid = self._pid()
        self.addCleanup(self.kill, pid)
        await self.eventually(lambda: "next " in self._log(), self._log)
        match = re.search(r"is listening on port (\d+)", self._log())
        assert match is not None
        await self.get(int(match[1]), "/")  # it listens before it heeds signals
        return int(match[1]), pid

    async def kill(self, pid: int) -> None:
        """Stop the daemon; it takes its pidfile with it."""
        os.kill(pid, signal.SIGTERM)
        await self.eventually(lambda: not self.pidfile.exists(), self._log)
        await self.eventually(lambda: not Path(f"/proc/{pid}").exists())
