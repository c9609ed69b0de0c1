"""The server as a daemon, and the command around it."""

from __future__ import annotations

import os
import pwd
import signal
import socket

from twisted.internet.defer import Deferred

from tests.system.daemon import QUIET, TWISTD, DaemonCase
from tests.system.server import reactor


class Daemon(DaemonCase):
    async def test_daemonizes(self) -> None:
        """`twistd xiaozhi` returns when the server listens, which is in the background."""
        port, pid = await self.daemonized()
        self.assertNotEqual(os.getsid(pid), os.getsid(0))
        self.assertEqual(await self.get(port, "/xiaozhi/v1/"), "Server is running")
        self.assertIn(f"ws://127.0.0.1:{port}/supie/v1/", await self.get(port, "/supie/ota"))
        self.assertEqual(await self.get(port, "/supie/v1/", host="[::1]"), "Server is running")

    async def test_another_user(self) -> None:
        """With --uid and --gid the server becomes that user, and can write its state."""
        user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        os.chown(self.folder, user.pw_uid, user.pw_gid)  # twistd takes its pidfile away
        _, pid = await self.daemonized(f"--uid={user.pw_uid}", f"--gid={user.pw_gid}")
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, user.pw_uid)
        self.assertEqual(os.stat(self.folder / "state").st_uid, user.pw_uid)

    async def test_speaks_as_a_daemon(self) -> None:
        """Its engines, processes and threads live on this side of the fork."""
        port, _ = await self.daemonized()
        turn = await self.device(port, language="en").type("what time is it", timeout=30)
        self.assertTrue(turn.whole, turn.summary())

    async def test_start_up_errors(self) -> None:
        """What is wrong at the start is said by the launcher, which exits with 1."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            config = self.folder / "taken.yaml"
            config.write_text(f"server: {{ip: 127.0.0.1, port: {port}}}\n{QUIET}")
            for command in (
                (TWISTD, f"--pidfile={self.pidfile}", f"--logfile={self.logfile}", "xiaozhi"),
                (TWISTD, "-n", f"--pidfile={self.pidfile}", "xiaozhi"),
                ("-m", "xiaozhi.cli", "run"),
            ):
                process = self.command(*command, "--config", str(config))
                self.assertEqual(await process.ended, 1, command)
                self.assertIn(f"port {port}", process.text + self._log())

    async def test_wrong_configuration(self) -> None:
        """A wrong configuration is refused with path and line, all at once, and nothing starts."""
        config = self.folder / "wrong.yaml"
        config.write_text("server:\n  prot: 1\n  port: nine\ntts:\n  - use: parrot\n")
        for command in (
            (TWISTD, f"--pidfile={self.pidfile}", "xiaozhi", "--config", str(config)),
            ("-m", "xiaozhi.cli", "run", "--config", str(config)),
            ("-m", "xiaozhi.cli", "check", str(config)),
            ("-m", "xiaozhi.cli", "check", "--config", str(config)),
        ):
            process = self.command(*command, LC_ALL="zh_CN.UTF-8")
            self.assertEqual(await process.ended, 1, command)
            for line in ("2: ", "3: ", "5: "):
                self.assertIn(f"{config}:{line}", process.text)
            self.assertIn("必须是不小于 0", process.text)

    async def test_other_reactor(self) -> None:
        """Another reactor is refused in so many words."""
        process = self.command(TWISTD, "-n", "--reactor=select", "--pidfile=", "xiaozhi")
        self.assertEqual(await process.ended, 1)
        self.assertIn("asyncio", process.text)

    async def test_init(self) -> None:
        """`xiaozhi init` writes a file that `xiaozhi check` finds nothing wrong with."""
        path = str(self.folder / "etc" / "xiaozhi.yaml")
        for arguments, code, text in (
            (("init", path), 0, "written"),
            (("check", path), 0, "nothing is wrong"),
            (("init", path), 1, "exists"),
            (("check", path + "x"), 1, "no such file"),
        ):
            process = self.command("-m", "xiaozhi.cli", *arguments, LC_ALL="C.UTF-8")
            self.assertEqual(await process.ended, code, process.text)
            self.assertIn(text, process.text)

    async def test_goodbye(self) -> None:
        """A stopping server tells its devices (1001), and ends at once."""
        port = await self.server(QUIET)
        device = self.device(port)
        await device.connect()
        closed: Deferred[str] = Deferred()
        device._on_event = lambda event: (
            closed.callback(event.details["text"]) if event.name == "closed" else None
        )
        self.process.handle.signalProcess(signal.SIGTERM)
        self.assertIn("1001", await closed.addTimeout(10, reactor))
        await self.process.ended.addTimeout(10, reactor)
