"""Beginning anew: with -n, as a daemon, under nohup and under a service manager."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from tests.system.daemon import QUIET, TWISTD, DaemonCase
from tests.system.server import reactor
from xiaozhi.device.client import Device
from xiaozhi.ending import AGAIN

SERVER = "server: {ip: [127.0.0.1], port: 0, language: en, secret: sesame}\n"


class Orders:
    """What a device sends that is an operator's as well, and how it is answered."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._answer: Deferred[dict[str, Any]] = Deferred()
        self.closed: Deferred[str] = Deferred()
        self._received, self._closed = device.received, device.closed
        device.received = self._take  # type: ignore[method-assign]
        device.closed = self._end  # type: ignore[method-assign]

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str) and json.loads(message)["type"] == "server":
            self._answer.callback(json.loads(message))
        else:
            self._received(message)

    def _end(self, why: str) -> None:
        self._closed(why)
        self.closed.callback(why)

    async def give(self, action: str, secret: str = "sesame") -> dict[str, Any]:
        """Give an order; return its answer."""
        self._answer = Deferred()
        order = {"type": "server", "action": action, "content": {"secret": secret}}
        self._device.send_raw(json.dumps(order))
        answer: dict[str, Any] = await self._answer.addTimeout(20, reactor)
        return answer


class Restart(DaemonCase):
    def configured(self, text: str = SERVER) -> str:
        """Write a configuration with a secret."""
        path = self.folder / "x.yaml"
        path.write_text(text + QUIET)
        return str(path)

    async def orders(self, port: int) -> Orders:
        device = self.device(port)
        await device.connect()
        return Orders(device)

    def visits(self, port: int, until: Deferred[Any]) -> Deferred[int]:
        """Visit the port, again and again; give how often that went well. None must fail."""

        async def visit() -> int:
            count = 0
            while not until.called or not count:
                self.assertEqual(await self.get(port, "/xiaozhi/v1/"), "Server is running")
                count += 1
            return count

        return Deferred.fromCoroutine(visit())

    async def anew(self, port: int, pid: int, log: Any) -> None:
        """Have the server at `port` begin anew; all must be as it was, and nobody refused."""
        orders = await self.orders(port)
        started: Deferred[Any] = Deferred()
        visiting = self.visits(port, started)
        answer = await orders.give("restart")
        self.assertEqual((answer["status"], answer["content"]), ("success", {"action": "restart"}))
        closed = await orders.closed.addTimeout(20, reactor)
        self.assertIn("1001", closed, log())
        await self.eventually(lambda: len(re.findall("is listening on port", log())) == 2)
        started.callback(None)
        self.assertGreater(await visiting, 1)
        self.assertEqual(set(re.findall(r"is listening on port (\d+)", log())), {str(port)})
        await self.orders(port)  # the same process serves devices again
        os.kill(pid, 0)

    async def foreground(self, *command: str, **environ: str) -> None:
        """Try it with a `command` that stays."""
        process = self.command(*command, "--config", self.configured(), **environ)
        port = int((await process.says(r"is listening on port (\d+)"))[1])
        await self.anew(port, process.handle.pid, lambda: process.text)
        self.assertFalse(process.ended.called, process.text)
        process.handle.signalProcess(signal.SIGTERM)
        await process.ended.addTimeout(15, reactor)

    async def test_command(self) -> None:
        """`xiaozhi run` begins anew in the same process."""
        await self.foreground("-m", "xiaozhi.cli", "run")

    async def test_no_daemon(self) -> None:
        """`twistd -n` does, and keeps its pidfile."""
        await self.foreground(TWISTD, "-n", f"--pidfile={self.pidfile}", "xiaozhi")
        self.assertFalse(self.pidfile.exists())

    async def test_daemon(self) -> None:
        """A daemon stays what it is: its process, its pidfile, its log."""
        launcher = self.command(
            TWISTD, f"--pidfile={self.pidfile}", f"--logfile={self.logfile}",
            "xiaozhi", "--config", self.configured(),
        )  # fmt: skip
        self.assertEqual(await launcher.ended, 0, launcher.text)
        pid = self._pid()
        self.addCleanup(self.kill, pid)
        await self.eventually(lambda: "next " in self._log())
        match = re.search(r"is listening on port (\d+)", self._log())
        assert match is not None
        session = os.getsid(pid)
        await self.anew(int(match[1]), pid, self._log)
        self.assertEqual((self._pid(), os.getsid(pid)), (pid, session))

    async def test_nohup(self) -> None:
        """Under nohup it does, and a hangup only has it read its configuration again."""
        command = f"exec nohup {sys.executable} -m xiaozhi.cli run --config {self.configured()}"
        process = self.program("/bin/sh", "-c", command)
        port = int((await process.says(r"is listening on port (\d+)"))[1])
        await self.anew(port, process.handle.pid, lambda: process.text)
        process.handle.signalProcess(signal.SIGHUP)
        await process.says("was read again; changed: nothing")

    async def test_service_manager(self) -> None:
        """Under a service manager it exits to be started again; its sockets refuse nobody."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(told.close)
        told.bind(str(self.folder / "notify"))
        told.setblocking(False)
        # The configuration names another port: who is handed a socket uses that.
        command = (
            f"LISTEN_PID=$$ exec {sys.executable} -m xiaozhi.cli run --config {self.configured()}"
        )
        environ = {
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "xiaozhi.socket",
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": "400000",
        }
        fds = {3: listening.fileno()}
        started: Deferred[Any] = Deferred()
        first = self.spawn(["/bin/sh", "-c", command], environ, fds)
        visiting = self.visits(port, started)
        await first.says(rf"is listening on port {port}\n")
        messages = await self.messages(told, "READY=1")
        messages += await self.messages(told, "WATCHDOG=1")
        orders = await self.orders(port)
        self.assertEqual((await orders.give("restart"))["status"], "success")
        messages += await self.messages(told, "STOPPING=1")
        self.assertEqual(await first.ended.addTimeout(20, reactor), AGAIN, first.text)
        second = self.spawn(["/bin/sh", "-c", command], environ, fds)
        await second.says(rf"is listening on port {port}\n")
        await self.orders(port)
        started.callback(None)
        self.assertGreater(await visiting, 1)
        self.assertIn(f"STATUS=listening on port {port}", "\n".join(messages))

    async def messages(self, told: socket.socket, awaited: str) -> list[str]:
        """Read what the manager is told, up to the `awaited`."""
        found: list[str] = []

        def read() -> bool:
            try:
                found.append(told.recv(4096).decode())
            except BlockingIOError:
                return False
            return awaited in found[-1]

        await self.eventually(read)
        return found

    async def test_refused(self) -> None:
        """A wrong secret does nothing, nor does a restart into a configuration that is wrong."""
        process = self.command("-m", "xiaozhi.cli", "run", "--config", self.configured())
        port = int((await process.says(r"is listening on port (\d+)"))[1])
        orders = await self.orders(port)
        answer = await orders.give("restart", "open")
        self.assertEqual((answer["status"], answer["message"]), ("error", "the secret is wrong"))
        await process.says("An order was refused")
        self.assertNotIn("open\n", process.text)
        Path(self.configured(SERVER.replace("port: 0", "prot: 0")))
        for action in ("restart", "update_config"):
            answer = await orders.give(action)
            self.assertEqual(answer["status"], "error")
            self.assertIn("x.yaml:1: server.prot: unknown key", answer["message"])
        self.configured(SERVER + "assistant: {name: Jeeves}\n")
        answer = await orders.give("update_config")
        self.assertEqual(
            (answer["status"], answer["message"]), ("success", "changed: assistant.name")
        )
