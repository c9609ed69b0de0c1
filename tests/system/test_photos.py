"""A device's tools in the hands of an operator, and its camera behind the server's eyes."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from tests.openai_vision import VisionServer
from tests.pictures import JPEG
from tests.system.server import ServerCase, reactor
from xiaozhi.device.client import Device
from xiaozhi.device.ota import Profile

QUIET = """
llm: [{use: offline}]
asr: [{use: pocketsphinx}]
tts: [{use: espeak}]
"""
BADGE = "aa:bb:cc:00:11:22"
SEES = QUIET + "vision: {base_url: 'URL', api_key: sk-secret, model: eyes}\n"
PHOTOGRAPH = "self.camera.take_photo"


class PhotoTests(ServerCase):
    def setUp(self) -> Any:
        folder = tempfile.TemporaryDirectory(prefix="xiaozhi-")
        self.addCleanup(folder.cleanup)
        self.state = folder.name
        self.eyes = VisionServer("A field, blue and red.")
        self.addCleanup(self.eyes.stop)

    async def begin(self, configuration: str) -> Device:
        """Start a server, hire an operator, and connect a device whose tools are known."""
        self.port = await self.server(configuration, STATE_DIRECTORY=self.state)
        made = self.command(
            "-m", "xiaozhi.cli", "token", "new", "--save", STATE_DIRECTORY=self.state
        )
        self.assertEqual(await made.ended, 0, made.text)
        device = Device(
            reactor,
            Profile(f"http://127.0.0.1:{self.port}/xiaozhi/ota/", device_id=BADGE, language="en"),
            picture=lambda: JPEG,
        )
        self.addCleanup(device.close)
        await device.connect()
        await self.process.says("the device has 5 tools")
        return device

    async def operator(self, *words: str, code: int = 0) -> str:
        """Run a command, which is to exit with `code`; give what it says."""
        process = self.command(
            "-m", "xiaozhi.cli", "devices", *words,
            "--server", f"http://127.0.0.1:{self.port}",
            STATE_DIRECTORY=self.state, LANG="en_US.UTF-8",
        )  # fmt: skip
        self.assertEqual(await process.ended, code, process.text)
        return process.text

    async def photograph(self, question: str) -> Any:
        """Have a photo taken; give what the device was answered."""
        asked = json.dumps({"question": question})
        return json.loads(await self.operator("call", BADGE, PHOTOGRAPH, asked))

    async def test_a_photo(self) -> None:
        """The model sees the very bytes the camera took, and its answer is the tool's."""
        device = await self.begin(SEES.replace("URL", self.eyes.url))
        listed = await self.operator("tools", BADGE)
        self.assertRegex(listed, rf"(?m)^{PHOTOGRAPH} +models +Take a photo")
        self.assertRegex(listed, r"(?m)^self.get_system_info +operators +")
        told = await self.photograph("what is there?")
        self.assertEqual(told, {"success": True, "response": "A field, blue and red."})
        (seen,) = self.eyes.seen
        self.assertEqual((seen.data, seen.question), (JPEG, "what is there?"))
        self.assertIn("English", seen.prompt)
        volume = ("call", BADGE, "self.audio_speaker.set_volume")
        self.assertEqual(await self.operator(*volume, '{"volume": 30}'), "true\n")
        why = await self.operator(*volume, code=1)
        self.assertIn("xiaozhi: Missing valid argument: volume", why)
        turn = await device.type("what time is it", timeout=20)
        self.assertTrue(turn.whole, turn.summary())
        self.assertEqual(device.complaints, [])
        device.close()
        await self.process.says("the device hung up")
        self.assertIn("is not connected", await self.operator("tools", BADGE, code=1))

    async def test_blind(self) -> None:
        """Without a model the user hears that there is none."""
        await self.begin(QUIET)
        told = await self.photograph("what is there?")
        self.assertFalse(told["success"])
        self.assertIn("No vision model is set up", told["message"])
