"""Remember nothing of users from one session to the next."""

from __future__ import annotations

from xiaozhi.services import engine
from xiaozhi.services.memory import Desk, Nothing


class Settings(engine.Settings, frozen=True):
    """There is nothing to set."""


class Memory(Nothing):
    """Knows nothing."""

    def __init__(self, settings: Settings, workshop: Desk) -> None:
        """Need nothing."""
