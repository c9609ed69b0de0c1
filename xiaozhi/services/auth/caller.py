"""Who asks to be let in, and what is decided about it."""

from __future__ import annotations

from typing import Literal, Protocol

import attrs
from twisted.internet.defer import Deferred

from xiaozhi.identity import Identity

Label = Literal["address", "no_token", "bad_token", "expired", "revoked", "device", "failure"]
"""Why somebody is refused, for the counter."""


@attrs.frozen
class Caller:
    """A device that wants to connect."""

    identity: Identity
    peer: str
    """The address it comes from, as far as that is known."""
    token: str | None = attrs.field(default="", repr=False)
    """"" if it shows none, None if what it shows is no token."""
    claimed: tuple[str, ...] = ()
    """All whom a proxy nobody has configured says it speaks for."""


@attrs.frozen
class Admitted:
    """It may connect."""

    how: str
    """For the log."""


@attrs.frozen
class Refused:
    """It may not."""

    why: str
    """For the log, never for the device."""
    label: Label


Verdict = Admitted | Refused


class Way(Protocol):
    """One way to be let in."""

    def judge(self, caller: Caller, now: float) -> Verdict | Deferred[Verdict | None] | None:
        """Decide; None if the caller does not come this way. `now` is UTC, in epoch seconds.

        Raises (or fails with) ServiceError if it cannot be decided.
        """
