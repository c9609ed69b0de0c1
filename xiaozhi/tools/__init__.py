"""The tools of the house: one file each, found by its name.

A tool module has a frozen `Settings` and one class `Kit`, made with the settings and a `Room`;
`kit.tools` is what it offers. Importing the module must be cheap; what cannot work here at all
raises `Unavailable` when the kit is made. A kit with a life of its own is a Twisted `Service` as
well. Others can add modules by an entry point of the group `xiaozhi.tools`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import attrs

from xiaozhi.services.pool import Workers
from xiaozhi.services.reminders import Reminders
from xiaozhi.services.store import Store
from xiaozhi.tooling import Tool


@attrs.frozen
class Room:
    """What a tool may use of the house."""

    reactor: Any
    """The reactor, or a clock in tests."""
    pool: Workers
    """Threads for blocking work, shared by all tools."""
    state: Path
    """A folder of the server's; it exists."""
    language: str
    """The server's language, as a primary subtag."""
    store: Store
    now: Callable[[], datetime]
    """Tells the local time, with its offset."""
    reminders: Reminders | None = None
    """Tells users what is due; None where nobody can be told."""


class Kit(Protocol):
    """What one module offers."""

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools, in an order that stays."""
