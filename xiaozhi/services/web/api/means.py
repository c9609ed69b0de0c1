"""What operators' verbs work with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import attrs
from twisted.logger import Logger

from xiaozhi.services.activation import Enrolment
from xiaozhi.services.memory import Memory, Nothing
from xiaozhi.services.store import Store
from xiaozhi.services.web.api.calls import Call
from xiaozhi.tooling import Outcome, Tool


class Hands(Protocol):
    """The tools of a connected device."""

    def tools(self, device: str) -> Sequence[Tool]:
        """Tell which there are, those for operators among them."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """Call one; raises ServiceError."""


class McpServers(Protocol):
    """The MCP servers there are."""

    def states(self) -> list[dict[str, Any]]:
        """Tell of each how it is."""

    def keep(self, tokens: Collection[str]) -> object:
        """Send those away that have come with other tokens than these."""


class NoServers:
    """None."""

    def states(self) -> list[dict[str, Any]]:
        """Tell of none."""
        return []

    def keep(self, tokens: Collection[str]) -> None:
        """Have nobody to send away."""


@attrs.frozen
class Means:
    """What the server has for them, and what most of them do besides."""

    store: Store
    enrolment: Enrolment
    now: Callable[[], float]
    """UTC, in epoch seconds."""
    kick: Callable[[str], object] = lambda device_id: None
    """Ends the connection of a device, if it has one."""
    servers: McpServers = attrs.field(factory=NoServers)
    hands: Callable[[str], Hands | None] = lambda device_id: None
    """Finds the tools of a device; None if it is not connected."""
    remembered: Memory = attrs.field(factory=Nothing)
    """What is known of the devices' users."""
    interrupt: Callable[[str, float | None, str], object] = lambda device_id, seconds, about: None
    """Has the talk of a device that is under way forget its last seconds, or (None) all; of that
    only what is about something, unless that is empty."""

    log = Logger()

    def did(self, call: Call, what: str, whom: str) -> None:
        """Say in the log who did what."""
        self.log.info(
            "{who} (token {token_id}) {what} {whom}",
            who=call.operator.subject,
            token_id=call.operator.id,  # what is called a token is masked
            what=what,
            whom=whom,
        )

    async def dismiss(self) -> None:
        """Send away the MCP servers whose tokens are void now."""
        tokens = await self.store.tokens()
        self.servers.keep({token.id for token in tokens if token.revoked_at is None})
