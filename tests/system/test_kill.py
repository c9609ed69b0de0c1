"""A server that is killed at any moment forgets nothing of a session that was closed."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.task import deferLater

from tests.system.instant import HELLO, connect
from tests.system.server import Process, ServerCase, reactor
from tests.websocket import masked
from xiaozhi.services.store.records import SessionMemory

ROUNDS = 6
DEVICES = 20


class Killed(ServerCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    async def start(self) -> Process:
        process = self.command("-m", "tests.system.memory_server", str(self.folder))
        self.port = int((await process.says(r"listening on (\d+)", 30))[1])
        return process

    async def talk(self, device: str) -> None:
        """Ask something unheard of, and say goodbye at some moment of the answer."""
        client = await connect(self.port, device)
        question = f"what of {device}?"
        client.say(HELLO, {"type": "listen", "state": "detect", "text": question})
        await deferLater(reactor, random.uniform(0.05, 0.6))
        client.wire.write(masked(8, b"\x03\xe8"))
        if await client.goodbye:
            self.closed.add(device)

    async def kill(self, process: Process) -> None:
        """Kill the server while some sessions are closed, some are being closed, some go on."""
        await deferLater(reactor, random.uniform(0.2, 0.5))
        process.handle.signalProcess(signal.SIGKILL)
        await process.ended

    def stored(self) -> dict[str, SessionMemory]:
        """Read the store; a memory that was stored twice is one."""
        memories = {}
        for line in (self.folder / "store").read_bytes().splitlines():
            memory = msgspec.json.decode(line, type=SessionMemory)
            memories[memory.session_id] = memory
        return memories

    async def test_nothing_is_forgotten(self) -> None:
        """Whoever was told goodbye is remembered after the server was killed and came back."""
        random.seed(9)
        self.closed: set[str] = set()
        journal = self.folder / "journal"
        left = 0
        for number in range(ROUNDS):
            process = await self.start()
            talks = [
                Deferred.fromCoroutine(self.talk(f"device-{number}-{which}"))
                for which in range(DEVICES)
            ]
            for talk in talks:
                talk.addErrback(lambda failure: failure.trap(ConnectionLost, ConnectError))
            await self.kill(process)
            await gatherResults(talks)
            left += len(list(journal.iterdir()))
        self.assertGreater(len(self.closed), 10)
        self.assertLess(len(self.closed), ROUNDS * DEVICES)
        self.assertGreater(left, 0, "never was anything left to be stored")
        await self.start()
        deadline = reactor.seconds() + 20
        while list(journal.iterdir()):
            self.assertLess(reactor.seconds(), deadline)
            await deferLater(reactor, 0.05)
        remembered = {memory.device_id: memory for memory in self.stored().values()}
        self.assertEqual(self.closed - set(remembered), set())
        for device in self.closed:
            entry = remembered[device].entries[0]
            self.assertEqual((entry.role, entry.text), ("user", f"what of {device}?"))
