"""What can be done with the things in a house: words for it -> services of Home Assistant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from xiaozhi.errors import ServiceError
from xiaozhi.tools._words import number

ALLOWED: Final = (
    "light",
    "switch",
    "fan",
    "cover",
    "climate",
    "media_player",
    "scene",
    "script",
    "input_boolean",
    "vacuum",
)
"""Domains that may be controlled; locks only where the settings say so."""
ACTIONS: Final = (
    "on off toggle open close stop set play pause next previous start dock lock unlock".split()
)


@attrs.frozen
class Service:
    """A service to be called: `light.turn_on`, and with what."""

    name: str
    data: Mapping[str, Any] = attrs.field(factory=dict)


_SWITCHED: Final = {"on": "turn_on", "off": "turn_off", "toggle": "toggle"}
_SERVICES: Final[Mapping[str, Mapping[str, str]]] = {
    "light": _SWITCHED,
    "switch": _SWITCHED,
    "input_boolean": _SWITCHED,
    "fan": _SWITCHED,
    "climate": {"on": "turn_on", "off": "turn_off"},
    "cover": {
        "on": "open_cover",
        "open": "open_cover",
        "off": "close_cover",
        "close": "close_cover",
        "stop": "stop_cover",
        "toggle": "toggle",
    },
    "media_player": {
        **_SWITCHED,
        "play": "media_play",
        "pause": "media_pause",
        "stop": "media_stop",
        "next": "media_next_track",
        "previous": "media_previous_track",
    },
    "scene": {"on": "turn_on", "start": "turn_on"},
    "script": {"on": "turn_on", "start": "turn_on", "off": "turn_off", "stop": "turn_off"},
    "vacuum": {
        "on": "start",
        "start": "start",
        "stop": "stop",
        "pause": "pause",
        "off": "return_to_base",
        "dock": "return_to_base",
    },
    "lock": {"lock": "lock", "close": "lock", "unlock": "unlock", "open": "unlock"},
}
_COLOURS: Final = {
    "红": "red",
    "橙": "orange",
    "黄": "yellow",
    "绿": "green",
    "青": "cyan",
    "蓝": "blue",
    "紫": "purple",
    "粉": "pink",
    "白": "white",
}
_WHITES: Final = {
    "暖白": 2700,
    "暖": 2700,
    "warmwhite": 2700,
    "warm": 2700,
    "冷白": 5500,
    "冷": 5500,
    "coolwhite": 5500,
    "coldwhite": 5500,
    "daylight": 5500,
}
"""Kelvin."""
_MODES: Final = {
    "制冷": "cool",
    "制热": "heat",
    "自动": "auto",
    "除湿": "dry",
    "送风": "fan_only",
    "关闭": "off",
}


def service(domain: str, action: str, arguments: Mapping[str, Any]) -> Service | None:
    """Tell what to call for an `action` on something of a `domain`; None if it cannot do that.

    Raises ServiceError if the `value` among the arguments is of no use.
    """
    if action == "set":
        setting = _SETTINGS.get(domain)
        return setting(arguments) if setting else None
    name = _SERVICES.get(domain, {}).get(action)
    return Service(name) if name else None


def _brightness(arguments: Mapping[str, Any]) -> Service:
    """Set a light's brightness, or its colour if the value is no number."""
    value = str(arguments.get("value") or "").strip().casefold()
    if value and not value[0].isdigit():
        word = value.replace(" ", "").removesuffix("色").removesuffix("光")
        if kelvin := _WHITES.get(word):
            return Service("turn_on", {"color_temp_kelvin": kelvin})
        colour = _COLOURS.get(word, word)
        if not re.fullmatch("[a-z]{3,20}", colour):
            raise ServiceError("tool", "value must be a brightness in per cent, or a colour")
        return Service("turn_on", {"color_name": colour})
    return Service("turn_on", {"brightness_pct": _required(arguments, 0, 100)})


def _speed(arguments: Mapping[str, Any]) -> Service:
    return Service("set_percentage", {"percentage": _required(arguments, 0, 100)})


def _position(arguments: Mapping[str, Any]) -> Service:
    return Service("set_cover_position", {"position": _required(arguments, 0, 100)})


def _loudness(arguments: Mapping[str, Any]) -> Service:
    return Service("volume_set", {"volume_level": _required(arguments, 0, 100) / 100})


def _climate(arguments: Mapping[str, Any]) -> Service:
    """Set a temperature, or how the air is conditioned if the value is no number."""
    value = str(arguments.get("value") or "").strip().casefold()
    mode = _MODES.get(value, value)
    if mode in ("off", "heat", "cool", "heat_cool", "auto", "dry", "fan_only"):
        return Service("set_hvac_mode", {"hvac_mode": mode})
    return Service("set_temperature", {"temperature": _required(arguments, 5, 100)})


_SETTINGS: Final[Mapping[str, Callable[[Mapping[str, Any]], Service]]] = {
    "light": _brightness,
    "fan": _speed,
    "cover": _position,
    "climate": _climate,
    "media_player": _loudness,
}


def _required(arguments: Mapping[str, Any], lowest: int, highest: int) -> float:
    value = number(arguments, "value", lowest, highest)
    if value is None:
        raise ServiceError("tool", "value is missing")
    return int(value) if value == int(value) else value
