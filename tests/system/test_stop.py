"""The end of the process: in time, even where threads never return."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from pathlib import Path

import treq
from twisted.internet.defer import Deferred
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from tests.system.daemon import QUIET, DaemonCase
from tests.system.server import ROOT, Process, ServerCase, reactor
from tests.websocket import HANDSHAKE
from xiaozhi.device.firmware import State

GRACE = 4

HELD = '''
"""Engines of every kind whose threads never return, and more such threads."""

import asyncio, threading
from twisted.application.service import Service
from xiaozhi.services import engine


def hold():
    threading.Event().wait()


class Settings(engine.Settings, frozen=True):
    pass


class Recogniser(Service):
    languages = {"*"}

    def __init__(self, settings, workshop):
        self.workshop = workshop

    def startService(self):
        super().startService()
        for _ in range(5):  # two run, three wait
            self.workshop.pool.run(hold).addErrback(lambda failure: print("cancelled", flush=True))
        asyncio.get_event_loop().run_in_executor(None, hold)
        threading.Thread(target=hold).start()
        if isinstance(self, Speaker):
            self.workshop.reactor.callInThread(hold)


class Model(Recogniser):
    pass


class Speaker(Recogniser):
    rate = 16000
'''

CONFIG = f"""
server: {{ip: [127.0.0.1], port: 0, language: en, secret: sesame, shutdown_grace: {GRACE}}}
asr: [{{use: held}}]
llm: [{{use: held}}]
tts: [{{use: held}}]
"""


class Held(DaemonCase):
    def setUp(self) -> None:
        super().setUp()
        (self.folder / "held.py").write_text(HELD)
        about = self.folder / "held-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: held\nVersion: 1.0\n")
        points = "".join(f"[xiaozhi.{kind}]\nheld = held\n" for kind in ("asr", "llm", "tts"))
        (about / "entry_points.txt").write_text(points)
        self.config = self.folder / "x.yaml"
        self.config.write_text(CONFIG)
        self.path = f"{self.folder}:{ROOT}"

    async def started(self) -> Process:
        """Start the server; it is of use, and all its threads are held."""
        process = self.command(
            "-m", "xiaozhi.cli", "run", "--config", str(self.config), PYTHONPATH=self.path
        )
        self.port = int((await process.says(r"is listening on port (\d+)"))[1])
        self.assertEqual(await self.get(self.port, "/xiaozhi/v1/"), "Server is running")
        return process

    async def test_stop(self) -> None:
        """A thread of every pool is held for ever, and one of Python's own: it ends in time."""
        process = await self.started()
        began = reactor.seconds()
        process.handle.signalProcess(signal.SIGTERM)
        await process.ended.addTimeout(GRACE, reactor)
        self.assertLess(reactor.seconds() - began, GRACE)
        self.assertEqual(len(re.findall("cancelled", process.text)), 9, process.text)

    async def test_insist(self) -> None:
        """Who asks twice does not wait for the grace."""
        self.config.write_text(CONFIG.replace(f"shutdown_grace: {GRACE}", "shutdown_grace: 600"))
        process = await self.started()
        process.handle.signalProcess(signal.SIGTERM)
        await process.says("cancelled")
        process.handle.signalProcess(signal.SIGTERM)
        await process.ended.addTimeout(5, reactor)

    async def test_restart(self) -> None:
        """A restart does not wait for them either."""
        process = await self.started()
        device = self.device(self.port)
        await device.connect()
        order = {"type": "server", "action": "restart", "content": {"secret": "sesame"}}
        device.send_raw(json.dumps(order))
        await process.says(
            r"(?s)stops: it begins anew.*not stopped in time.*is listening on port", 4 * GRACE
        )
        self.assertEqual(await self.get(self.port, "/xiaozhi/v1/"), "Server is running")


class Drain(ServerCase):
    timeout = 60

    def setUp(self) -> None:
        self.state = Path(self.mktemp()).absolute()

    async def ask(self, path: str, **headers: str) -> tuple[int, str]:
        """Fetch a page, whatever its code is."""
        url = f"http://127.0.0.1:{self.port}{path}"
        sent = Headers({name: [text] for name, text in headers.items()})
        reply = await Agent(reactor).request(b"GET", url.encode(), sent)
        return reply.code, await treq.text_content(reply)

    async def test_drain(self) -> None:
        """A stop lets an answer end, takes nobody new, says so, and stores what was said."""
        self.port = await self.server(QUIET, STATE_DIRECTORY=str(self.state))
        device = self.device(self.port, language="en", device_id="aa:01")
        answer = Deferred.fromCoroutine(device.type("what is two plus two"))
        await self.eventually(lambda: device.firmware.state is State.SPEAKING)
        self.assertEqual((await self.ask("/readyz"))[0], 200)
        self.process.handle.signalProcess(signal.SIGTERM)
        told = ""
        while "the server is stopping" not in told:  # the signal is on its way
            code, told = await self.ask("/readyz")
        self.assertEqual((code, list(json.loads(told)["reasons"])), (503, ["draining"]))
        self.assertEqual((await self.ask("/xiaozhi/v1/", **HANDSHAKE))[0], 503)
        turn = await answer
        self.assertTrue(turn.whole, turn.summary())
        await self.process.ended
        self.assertIn("we closed (1001)", self.process.text)
        self.assertIn("The server stops: SIGTERM", self.process.text)
        self.assertRegex(self.process.text, r"The server has stopped, after \d+\.\d s")
        with sqlite3.connect(self.state / "xiaozhi.db") as store:
            self.assertEqual(
                store.execute("SELECT device_id FROM memories").fetchall(), [("aa:01",)]
            )
