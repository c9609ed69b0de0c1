"""Callers, and a store in memory, for tests of who may connect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock

from xiaozhi.errors import ServiceError
from xiaozhi.identity import Identity
from xiaozhi.services.auth import Gate
from xiaozhi.services.auth.caller import Caller, Refused, Verdict, Way
from xiaozhi.services.counters import Counters
from xiaozhi.services.store import Standing
from xiaozhi.services.web.proxies import Proxies

NOW = 1_790_000_000.0
DEVICE = "aa:bb:cc:dd:ee:ff"


def caller(
    token: str | None = "",
    device: str = DEVICE,
    peer: str = "203.0.113.9",
    claimed: tuple[str, ...] = (),
) -> Caller:
    """Make a caller from far away."""
    return Caller(Identity(device, device, "header"), peer, token, claimed)


def judge(way: Way, asking: Caller, now: float = NOW) -> Verdict | None:
    """Tell what `way` decides at once."""
    found: list[Any] = []
    maybeDeferred(way.judge, asking, now).addBoth(found.append)
    verdict: Verdict | None = found[0]
    return verdict


def label(verdict: Verdict | None) -> str:
    """Tell the label of a refusal; "" if it is none."""
    return verdict.label if isinstance(verdict, Refused) else ""


def gate(
    clock: Clock,
    *ways: Way,
    counters: Counters | None = None,
    now: Callable[[], float] = lambda: NOW,
) -> Gate:
    """Make a gate with some `ways`."""
    made = Gate(ways, Proxies(), counters or Counters(), clock, now)
    made.startService()
    return made


@attrs.frozen
class Token:
    """A token of the register."""

    id: str
    subject: str


@attrs.define
class FakeRegister:
    """A store in memory: it may be slow, and it may fail."""

    standings: dict[str, Standing] = attrs.field(factory=dict)
    tokens: dict[str, Token] = attrs.field(factory=dict)
    broken: bool = False
    slow: list[Deferred[Any]] | None = None
    asked: int = 0

    def standing(self, device_id: str) -> Deferred[Standing]:
        return self._answer(self.standings.get(device_id, Standing()))

    def find_token(self, kind: str, secret: str) -> Deferred[Any]:
        assert kind == "device"
        return self._answer(self.tokens.get(secret))

    def _answer(self, value: Any) -> Deferred[Any]:
        self.asked += 1
        if self.broken:
            return fail(ServiceError("store", "the disk is full"))
        if self.slow is not None:
            self.slow.append(Deferred())
            return self.slow[-1]
        return succeed(value)
