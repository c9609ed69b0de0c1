"""Volume and brightness, through tools as the firmware has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.tools.cases import Listener, ToolCase, call, failure
from xiaozhi.tooling import Outcome
from xiaozhi.tools.device import STATUS, USUAL, Kit, Settings

VOLUME = "self.audio_speaker.set_volume"
BRIGHTNESS = "self.screen.set_brightness"


def telling(text: str, failed: bool = False) -> Callable[[dict[str, Any]], Outcome]:
    """Make a tool of a device that tells this, whatever it is asked."""
    return lambda _: Outcome(text, failed=failed)


class DeviceTests(ToolCase):
    def setUp(self) -> None:
        super().setUp()
        self.kit = Kit(Settings(), self.room)
        self.state = {"audio_speaker": {"volume": 70}, "screen": {"brightness": 95}}

    def device(self, language: str = "en") -> Listener:
        """Make a device with a speaker and a screen."""

        def turned(section: str, name: str) -> Any:
            def turn(arguments: dict[str, Any]) -> Outcome:
                assert list(arguments) == [name]
                self.state[section] = arguments
                return Outcome("true")

            return turn

        own = {
            STATUS: lambda _: Outcome(json.dumps(self.state)),
            VOLUME: turned("audio_speaker", "volume"),
            BRIGHTNESS: turned("screen", "brightness"),
        }
        return Listener(language=language, own=own)

    def test_quiet(self) -> None:
        """Nothing is spoken meanwhile: the device that turns its knob has no ear for us."""
        self.assertTrue(all(tool.quiet and tool.alone for tool in self.kit.tools))

    async def test_level(self) -> None:
        """A level is set as it was said, and said."""
        for name, level, language, said in (
            ("set_volume", 30, "zh", "音量已经调到30。"),
            ("set_volume", "50%", "en", "The volume is now 50."),
            ("set_brightness", 0, "zh", "亮度已经调到0。"),
            ("set_brightness", 100, "en", "The brightness is now 100."),
        ):
            device = self.device(language)
            outcome = await call(self.kit, name, device, level=level)
            self.assertEqual((outcome.say, outcome.final), (said, True))
            self.assertEqual(len(device.used), 1)
        self.assertEqual(self.state["audio_speaker"], {"volume": 50})
        self.assertEqual(self.state["screen"], {"brightness": 100})

    async def test_change(self) -> None:
        """A change is from where it is, and stays within the bounds."""
        device = self.device()
        for name, change, level in (
            ("set_volume", -10, 60),
            ("set_volume", 10, 70),
            ("set_brightness", 20, 100),
            ("set_brightness", -100, 0),
        ):
            outcome = await call(self.kit, name, device, change=change)
            self.assertIn(f"is now {level}.", outcome.say)
        self.assertEqual([name for name, _ in device.used][:2], [STATUS, VOLUME])

    async def test_unmuted(self) -> None:
        """What was muted is as loud again as before; what is not muted stays as it is."""
        device = self.device()
        for arguments, level in (
            ({"level": 0}, 0),
            ({"level": 0}, 0),  # said twice: it was loud before the first
            ({"unmute": True}, 70),
            ({"level": 30}, 30),
            ({"unmute": True}, 30),
        ):
            outcome = await call(self.kit, "set_volume", device, **arguments)
            self.assertEqual(outcome.say, f"The volume is now {level}.")
        self.state["audio_speaker"] = {"volume": 0}
        unknown = await call(Kit(Settings(), self.room), "set_volume", device, unmute=True)
        self.assertEqual(unknown.say, f"The volume is now {USUAL}.")

    async def test_cannot(self) -> None:
        """A device without the tool cannot, and that is said."""
        bare = Listener(language="zh")
        outcome = await call(self.kit, "set_brightness", bare, level=3)
        self.assertEqual((outcome.say, outcome.failed), ("这台设备不能调亮度。", True))
        mute = self.device()
        del mute.own[STATUS]
        self.assertTrue((await call(self.kit, "set_volume", mute, change=1)).failed)
        self.assertFalse((await call(self.kit, "set_volume", mute, level=1)).failed)
        self.assertEqual(bare.used, [])

    async def test_wrong(self) -> None:
        """Neither a level nor a change, or what is none, is a ServiceError."""
        device = self.device()
        for wrong in ({}, {"level": 101}, {"level": "loud"}, {"change": [1]}, {"level": True}):
            await failure(self.kit, "set_volume", device, **wrong)
        self.assertEqual(device.used, [])

    async def test_odd_status(self) -> None:
        """A status that does not tell is a ServiceError; a device that fails says why itself."""
        for text in (
            "",
            "[]",
            "null",
            '{"audio_speaker": {}}',
            '{"audio_speaker": {"volume": "x"}}',
        ):
            device = self.device()
            device.own[STATUS] = telling(text)
            await failure(self.kit, "set_volume", device, change=1)
        device = self.device()
        device.own[VOLUME] = telling("the device is busy", failed=True)
        outcome = await call(self.kit, "set_volume", device, level=1)
        self.assertEqual((outcome.text, outcome.failed), ("the device is busy", True))
        device.own[STATUS] = telling("the device is busy", failed=True)
        self.assertIn("busy", (await failure(self.kit, "set_volume", device, change=1)).why)
