"""The tools of the house: one file each, found by its name.

A tool module has a frozen `Settings` and one class `Kit`, made with the settings and a `Room`;
`kit.tools` is what it offers. Importing the module must be cheap; what cannot work here at all
raises `Unavailable` when the kit is made. A kit with a life of its own is a Twisted `Service` as
well. Others can add modules by an entry point of the group `xiaozhi.tools`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from xiaozhi.services.engine import Workshop
from xiaozhi.services.memory import Memory, Nothing
from xiaozhi.services.reminders import Reminders
from xiaozhi.services.store import Store
from xiaozhi.tooling import Tool


@attrs.frozen(kw_only=True)
class Room(Workshop):
    """What a tool may use of the house, besides what all engines may."""

    store: Store
    now: Callable[[], datetime]
    """Tells the local time, with its offset."""
    memories: Memory = attrs.field(factory=Nothing)
    """What is known of the devices' users."""
    reminders: Reminders | None = None
    """Tells users what is due; None where nobody can be told."""


class Kit(Protocol):
    """What one module offers."""

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools, in an order that stays."""
