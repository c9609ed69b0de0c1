"""What is known of devices beyond one connection: so far, their user's language."""

from __future__ import annotations

from collections import OrderedDict

LIMIT = 10_000
"""Devices that are remembered; those not seen for longest make room."""


class Devices:
    """Remember devices while the server runs."""

    def __init__(self) -> None:
        self._languages: OrderedDict[str, str] = OrderedDict()

    def learn(self, device: str, language: str) -> None:
        """Note the `language` (primary subtag, "" for unknown) that `device` asked for."""
        self._languages.pop(device, None)
        if language:
            self._languages[device] = language
        if len(self._languages) > LIMIT:
            self._languages.popitem(last=False)

    def language(self, device: str) -> str:
        """Tell the language of the device's user; "" if unknown."""
        return self._languages.get(device, "")
