"""Timers on a real server: they ring as speech on the device, before and after a restart."""

from __future__ import annotations

import signal
import time

from tests.system.server import ServerCase, reactor
from tests.tools.stage import Stage, call, room
from xiaozhi.device.client import Device
from xiaozhi.device.ota import Profile
from xiaozhi.device.turns import Event
from xiaozhi.engines import now
from xiaozhi.services.reminders import Reminders
from xiaozhi.services.store import Seen, Store
from xiaozhi.tools import reminders

SERVER = "asr: [{use: pocketsphinx}]\nllm: [{use: offline}]\ntts: [{use: espeak}]\n"
DEVICE = "aa:bb:cc:00:11:22"


class Rings(ServerCase):
    def setUp(self) -> None:
        self.events: list[str] = []

    async def here(self, port: int) -> Device:
        """Let the device come, and listen."""
        address = f"http://127.0.0.1:{port}/xiaozhi/ota/"
        profile = Profile(ota_url=address, device_id=DEVICE, language="en")
        device = Device(reactor, profile, on_event=self.note)
        self.addCleanup(device.close)
        await device.listen()
        return device

    def note(self, event: Event) -> None:
        if event.name in ("alert", "sentence"):
            self.events.append(event.name)

    async def set_timer(self, seconds: float) -> None:
        """Set a timer for the device by the tool, on the server's store."""
        store = Store(reactor, self.own_state / "xiaozhi.db", 10.0)
        store.startService()
        self.addCleanup(store.stopService)
        await store.seen(Seen(id=DEVICE), time.time())
        service = Reminders(store, reactor, time.time)
        kit = reminders.Kit(reminders.Settings(), room(reminders=service, now=now))
        outcome = await call(kit, "set_timer", Stage(device=DEVICE), seconds=seconds, label="tea")
        self.assertFalse(outcome.failed, outcome.text)

    async def rings(self, device: Device) -> None:
        """Hear the timer out: shown first, then spoken, whole and in time."""
        turn = await device.hear(60)
        self.assertTrue(turn.whole, f"{turn.summary()}\n{self.process.text}")
        self.assertIn("your tea timer of 1 second is over", turn.answer)
        self.assertEqual(self.events[:2], ["alert", "sentence"])
        self.assertEqual((device.complaints, turn.stalls, turn.lost), ([], [], 0))

    async def test_rings(self) -> None:
        """A timer of one second rings on the device, that day's server or another's."""
        port = await self.server(SERVER)
        await self.set_timer(1)
        await self.rings(await self.here(port))

    async def test_after_a_restart(self) -> None:
        """One that was set before the server was stopped rings when it runs again."""
        await self.server(SERVER)
        await self.set_timer(1)
        self.process.handle.signalProcess(signal.SIGTERM)
        await self.process.ended
        await self.rings(await self.here(await self.server(SERVER)))

    async def test_by_voice(self) -> None:
        """It is set by a word, without a model, and rings when the answer was heard."""
        device = await self.here(await self.server(SERVER))
        turn = await device.type("Set a tea timer for one second, please.")
        self.assertEqual(turn.answer, "OK, your tea timer rings in 1 second.")
        self.events.clear()
        await self.rings(device)
        turn = await device.type("what is 12 times 7")
        self.assertEqual(turn.answer, "That is 84.")
