"""An operator's day: the real commands, a real server, a device on its way in and out."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import treq
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.web.client import Agent

from tests.system.server import ServerCase, reactor
from xiaozhi.device.errors import Refused
from xiaozhi.device.turns import Event

GUARDED = """
auth: {mode: token}
llm: [{use: offline}]
asr: [{use: pocketsphinx}]
tts: [{use: espeak}]
"""
BADGE = "aa:bb:cc:00:11:22"


class OperatorTests(ServerCase):
    def setUp(self) -> Any:
        folder = tempfile.TemporaryDirectory(prefix="xiaozhi-")
        self.addCleanup(folder.cleanup)
        self.state = folder.name
        return ensureDeferred(self.begin())

    async def begin(self) -> None:
        """Start a server that asks for tokens; give the operator one."""
        self.port = await self.server(GUARDED, STATE_DIRECTORY=self.state)
        self.url = f"http://127.0.0.1:{self.port}"
        made = self.command(
            "-m", "xiaozhi.cli", "token", "new", "--save", STATE_DIRECTORY=self.state
        )
        self.assertEqual(await made.ended, 0, made.text)

    async def operator(self, *words: str, code: int = 0, **environ: str) -> str:
        """Run a command, which is to exit with `code`; give what it says."""
        process = self.command(
            "-m", "xiaozhi.cli", *words, "--server", self.url,
            STATE_DIRECTORY=self.state, LANG="en_US.UTF-8", **environ,
        )  # fmt: skip
        self.assertEqual(await process.ended, code, process.text)
        return process.text

    async def test_a_device(self) -> None:
        """A device shows its code, is activated, talks, is blocked, and stays outside."""
        self.assertEqual(await self.operator("devices"), "no device has been seen yet\n")
        shown: Deferred[str] = Deferred()

        def note(event: Event) -> None:
            if event.name == "activation" and not shown.called:
                shown.callback(event.details["code"])

        device = self.device(self.port, device_id=BADGE, language="en")
        device._on_event = note
        booting = ensureDeferred(device.boot(timeout=10))
        code = await shown
        self.assertIn("not activated", await self.operator("devices"))
        self.assertIn("is activated", await self.operator("activate", code))
        offer = await booting
        self.assertTrue(offer.token.startswith("xd1_"))
        turn = await device.type("what time is it", timeout=20)
        self.assertTrue(turn.whole, turn.summary())
        self.assertEqual(device.complaints, [])

        device.close()
        await self.operator("devices", "block", BADGE)
        with self.assertRaises(Refused) as caught:
            await device.connect()
        self.assertIn("401", str(caught.exception))
        self.assertIn("已屏蔽", await self.operator("devices", "show", BADGE, LC_ALL="zh_CN.UTF-8"))

    async def test_memory(self) -> None:
        """What a user says is learnt when they have gone, survives a kill, and is erased."""
        other = "aa:bb:cc:00:11:33"
        for name in (BADGE, other):
            device = self.device(self.port, device_id=name, language="en")
            device._on_event = lambda event: None
            booting = ensureDeferred(device.boot(timeout=20))
            await self.activated(name)
            await booting
            if name == BADGE:
                turn = await device.type("My name is Tom", timeout=20)
                self.assertTrue(turn.whole, turn.summary())
            device.close()
        await self.process.says("is learnt from", 20)
        self.process.handle.signalProcess("KILL")
        await self.process.ended
        self.port = await self.server(GUARDED, STATE_DIRECTORY=self.state)
        self.url = f"http://127.0.0.1:{self.port}"
        known = await self.operator("devices", "memory", BADGE)
        self.assertIn("The user's name is Tom.", known)
        self.assertEqual(
            await self.operator("devices", "memory", other), "nothing is known of its user\n"
        )
        self.assertEqual(await self.operator("devices", "memory", BADGE, "--forget"), "erased: 2\n")
        self.assertIn("nothing is known", await self.operator("devices", "memory", BADGE))

    async def activated(self, name: str) -> None:
        """Activate a device as soon as it has been seen."""
        while name not in await self.operator("devices"):
            pass
        await self.operator("activate", name)

    async def test_a_program(self) -> None:
        """py-xiaozhi, which wraps what it asks, waits with 202 until its code is entered."""
        headers: dict[bytes | str, bytes | str] = {
            "Device-Id": BADGE, "Client-Id": "c", "Activation-Version": "2.0.0",
            "Content-Type": "application/json",
        }  # fmt: skip
        ota = f"{self.url}/xiaozhi/ota/"

        async def post(url: str, body: Any) -> Any:
            data = json.dumps(body).encode()
            reply = await treq.post(url, data=data, headers=headers, agent=Agent(reactor))
            return reply.code, await reply.json()

        status, told = await post(ota, {"application": {"version": "2.0.0"}})
        self.assertEqual((status, told["websocket"]["token"]), (200, ""))
        wanted = {key: told["activation"][key] for key in ("challenge", "code")}
        payload = {"Payload": {"algorithm": "hmac-sha256", "serial_number": "SN", "hmac": "0" * 64}}
        payload["Payload"]["challenge"] = wanted["challenge"]
        self.assertEqual((await post(ota + "activate", payload))[0], 202)
        await self.operator("activate", wanted["code"])
        self.assertEqual((await post(ota + "activate", payload))[0], 200)
        status, told = await post(ota, {})
        self.assertNotIn("activation", told)
        self.assertTrue(told["websocket"]["token"])

    async def test_what_goes_wrong(self) -> None:
        """What is not done is said in a line, and by the exit code."""
        for words, code, said in (
            (("activate", "000000"), 1, "no device shows this code"),
            (("devices", "block", "nobody"), 1, "there is no such thing"),
            (("devices", "--token", "x"), 1, "does not know this token"),
            (("devices", "paint"), 2, "invalid choice"),
        ):
            self.assertIn(said, (await self.operator(*words, code=code)).splitlines()[-1])
        await self.operator("devices", "--json")
        self.process.handle.signalProcess("TERM")
        await self.process.ended
        self.assertIn("no server answers", await self.operator("devices", code=3))
        # The store is there all the same.
        made = self.command("-m", "xiaozhi.cli", "token", "new", STATE_DIRECTORY=self.state)
        self.assertEqual(await made.ended, 0, made.text)
        none = self.command("-m", "xiaozhi.cli", "token", "new", STATE_DIRECTORY=self.state + "x")
        self.assertEqual(await none.ended, 1)
        self.assertIn("start the server once", none.text)
