"""The volume and the brightness of the device, through the tools it has itself."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from xiaozhi.errors import ServiceError
from xiaozhi.services import engine
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._words import said, whole

STATUS: Final = "self.get_device_status"
DEVICES: Final = 1000
"""Devices of which it is remembered how loud they were before they were muted."""
USUAL: Final = 50
"""The volume of a device that is muted, and of which that is not known."""

_UNMUTE: Final = {
    "unmute": {"type": "boolean", "description": "True for the volume from before it was muted."}
}


class Settings(engine.Settings, frozen=True):
    """There is nothing to set."""


@attrs.frozen
class _Knob:
    """Something on the device that can be turned from 0 to 100."""

    tool: str
    """The device's own tool."""
    argument: str
    section: str
    """Where it is in the device's status."""
    chinese: str
    english: str


_VOLUME: Final = _Knob("self.audio_speaker.set_volume", "volume", "audio_speaker", "音量", "volume")
_BRIGHTNESS: Final = _Knob(
    "self.screen.set_brightness", "brightness", "screen", "亮度", "brightness"
)


class Kit:
    """The tools `set_volume` and `set_brightness`."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Need nothing."""
        self._before: OrderedDict[str, int] = OrderedDict()
        """How loud devices were that are muted."""
        self.tools: Sequence[Tool] = (
            _tool("set_volume", _VOLUME, self._volume, _UNMUTE),
            _tool("set_brightness", _BRIGHTNESS, partial(_turned, _BRIGHTNESS), {}),
        )

    async def _volume(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        """Set the volume, and remember it if it is muted now; raise ServiceError."""
        if arguments.get("unmute"):
            level = await _volume_now(scene) or self._before.get(scene.device, USUAL)
            arguments = {"level": level}
        elif whole(arguments, "level", 0, 100) == 0 and (level := await _volume_now(scene)):
            self._before[scene.device] = level
            self._before.move_to_end(scene.device)
            if len(self._before) > DEVICES:
                self._before.popitem(last=False)
        return await _turned(_VOLUME, arguments, scene)


def _tool(
    name: str,
    knob: _Knob,
    turn: Callable[[dict[str, Any], Scene], Coroutine[Any, Any, Outcome]],
    more: Mapping[str, Any],
) -> Tool:
    return Tool(
        name,
        f"Set the {knob.english} of this device, or change it.",
        turn,
        {
            "type": "object",
            "properties": {
                "level": {"type": "integer", "minimum": 0, "maximum": 100},
                "change": {
                    "type": "integer",
                    "minimum": -100,
                    "maximum": 100,
                    "description": "By how much, where no level was said: 10 is a little louder "
                    "or brighter, -10 a little less.",
                },
                **more,
            },
        },
        alone=True,
        patience=15.0,
        quiet=True,  # as the device's own tools are
    )


async def _turned(knob: _Knob, arguments: dict[str, Any], scene: Scene) -> Outcome:
    """Turn a knob; raise ServiceError."""
    level = whole(arguments, "level", 0, 100)
    change = whole(arguments, "change", -100, 100)
    if level is None and change is None:
        raise ServiceError("tool", "give a level from 0 to 100, or a change")
    if not scene.offers(knob.tool) or (level is None and not scene.offers(STATUS)):
        return Outcome(
            f"this device cannot change its {knob.english}",
            said(
                scene.language,
                f"这台设备不能调{knob.chinese}。",
                f"This device cannot change its {knob.english}.",
            ),
            final=True,
            failed=True,
        )
    if level is None:
        assert change is not None
        level = min(max(await _level(knob, scene) + change, 0), 100)
    done = await scene.use(knob.tool, {knob.argument: level})
    if done.failed:
        return done
    return Outcome(
        f"the {knob.english} is {level} now",
        said(
            scene.language,
            f"{knob.chinese}已经调到{level}。",
            f"The {knob.english} is now {level}.",
        ),
        final=True,
    )


async def _level(knob: _Knob, scene: Scene) -> int:
    """Ask the device how it is turned now; raise ServiceError."""
    status = await scene.use(STATUS, {})
    if status.failed:
        raise ServiceError("tool", status.text)
    try:
        level = json.loads(status.text)[knob.section][knob.argument]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ServiceError("tool", f"the device does not tell its {knob.english}") from error
    if isinstance(level, bool) or not isinstance(level, int | float):
        raise ServiceError("tool", f"the device does not tell its {knob.english}")
    return round(level)


async def _volume_now(scene: Scene) -> int:
    """Tell how loud the device is; 0 if it is muted, or does not tell."""
    if not (scene.offers(_VOLUME.tool) and scene.offers(STATUS)):
        return 0
    try:
        return await _level(_VOLUME, scene)
    except ServiceError:
        return 0
