"""What devices told at OTA, kept while the server runs: their user's language, their firmware."""

from __future__ import annotations

import re
from collections import OrderedDict

import attrs

LIMIT = 10_000
"""Devices that are remembered; those not seen for longest make room."""

_ANSWERS_PINGS = (1, 9)
"""The first firmware that does; those before it break on a ping."""
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(\.|$)")


@attrs.frozen
class _Told:
    language: str
    firmware: str


class Devices:
    """Remember what devices told."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, _Told] = OrderedDict()

    def learn(self, device: str, language: str, firmware: str = "") -> None:
        """Note the `language` (primary subtag) and `firmware` of `device`, "" for unknown."""
        self._told.pop(device, None)
        if language or firmware:
            self._told[device] = _Told(language, firmware)
        if len(self._told) > LIMIT:
            self._told.popitem(last=False)

    def language(self, device: str) -> str:
        """Tell the language of the device's user; "" if unknown."""
        told = self._told.get(device)
        return told.language if told else ""

    def answers_pings(self, device: str) -> bool:
        """Say whether the device can be sent WebSocket pings: all but firmware below 1.9.0."""
        told = self._told.get(device)
        match = _VERSION.match(told.firmware) if told else None
        return match is None or (int(match[1]), int(match[2])) >= _ANSWERS_PINGS
