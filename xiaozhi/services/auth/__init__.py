"""The gate: who may connect.

Every connection is judged once, in its handshake, by the ways `auth.mode` opens. The first that
admits it decides; a way that fails admits nobody. Everything here fails closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.identity import Identity
from xiaozhi.services.auth.caller import Admitted, Caller, Refused, Verdict, Way
from xiaozhi.services.auth.credential import credential
from xiaozhi.services.auth.devicetokens import (
    DeviceTokens,
    NoRegister,
    Register,
    StoredTokens,
    server_key,
)
from xiaozhi.services.auth.lists import AllowedDevices, Neighbours, StaticTokens
from xiaozhi.services.auth.refusals import Book, Refusals
from xiaozhi.services.auth.settings import Auth
from xiaozhi.services.counters import Counters
from xiaozhi.services.deadline import within
from xiaozhi.services.engine import Workshop
from xiaozhi.services.web.proxies import Proxies

PATIENCE: Final = 5.0
"""Seconds within which it is decided."""


class Gate(MultiService):
    """Decides who may connect, and says and counts who may not."""

    log = Logger()

    def __init__(
        self,
        ways: Sequence[Way],
        proxies: Proxies,
        counters: Counters,
        clock: Any,
        now: Callable[[], float],
        book: Book | None = None,
    ) -> None:
        """Open the `ways`, asked in this order. `now` tells the time: UTC, in epoch seconds.

        The log tells of a device that it is blocked, if there is a `book` that knows.
        """
        super().__init__()
        self._ways = ways
        self._proxies = proxies
        self._counters = counters
        self._clock = clock
        self._now = now
        self._refusals = Refusals(clock, book)
        for way in ways:
            if isinstance(way, Service):
                way.setServiceParent(self)

    def stopService(self) -> Deferred[Any]:
        """Write what is left to say."""
        self._refusals.sum_up()
        stopping: Deferred[Any] = super().stopService()
        return stopping

    def caller(
        self,
        identity: Identity,
        peer: str,
        query: Mapping[str, Sequence[str]],
        headers: Mapping[str, str],
    ) -> Caller:
        """Read who asks, from a request that came from the address `peer`."""
        origin = self._proxies.origin(peer, headers)
        return Caller(identity, origin.peer, credential(query, headers), origin.claimed)

    def admit(self, caller: Caller) -> Deferred[Verdict]:
        """Decide within `PATIENCE`. Who is gone meanwhile cancels this, and is forgotten."""
        deciding = within(PATIENCE, ensureDeferred(self._judge(caller)), self._clock)
        deciding.addErrback(_undecided)
        return deciding.addCallback(self._note, caller)

    def turn_away(self, caller: Caller, why: str) -> None:
        """Write that somebody is refused for another reason, which others have counted."""
        self._refusals.note(caller, why)

    def mint(self, device_id: str, now: float) -> str:
        """Make a token for an activated device; "" if devices have none of their own."""
        for way in self._ways:
            if isinstance(way, DeviceTokens):
                return way.mint(device_id, now)
        return ""

    async def _judge(self, caller: Caller) -> Verdict:
        refusals: list[Refused] = []
        for way in self._ways:
            try:
                verdict = way.judge(caller, self._now())
                if isinstance(verdict, Deferred):
                    verdict = await verdict
            except ServiceError as error:
                verdict = Refused(f"{error.stage} failed: {error.why}", "failure")
            if isinstance(verdict, Admitted):
                return verdict
            if verdict is not None:
                refusals.append(verdict)
        if refusals:
            return Refused("; ".join(refused.why for refused in refusals), refusals[0].label)
        if caller.token is None:
            return Refused("what it shows is no bearer token", "bad_token")
        if not caller.token:
            return Refused("it shows no token", "no_token")
        return Refused("nobody knows its token", "bad_token")

    def _note(self, verdict: Verdict, caller: Caller) -> Verdict:
        if isinstance(verdict, Refused):
            self._counters.count("connections_refused", reason=verdict.label)
            self._refusals.unadmitted(caller, verdict)
        return verdict


def make_gate(
    settings: Auth,
    proxies: Proxies,
    counters: Counters,
    workshop: Workshop,
    now: Callable[[], float],
    register: Register | None = None,
    book: Book | None = None,
) -> Gate:
    """Make the gate `settings` want; raises Unavailable if one of its keys is of no use.

    `register` and `book` are the store; without the one no device token can be revoked, without
    the other the log does not tell who is blocked.
    """
    try:
        ways = _ways(settings, workshop, now, register or NoRegister())
    except OSError as error:
        raise Unavailable(
            f"the key of device tokens: {error}", f"设备令牌的密钥：{error}"
        ) from error
    return Gate(ways, proxies, counters, workshop.reactor, now, book)


def _ways(
    settings: Auth, workshop: Workshop, now: Callable[[], float], register: Register
) -> list[Way]:
    """List the ways: what costs nothing first, what asks others last."""
    if settings.mode == "off":
        return [Neighbours(settings.open_to)]
    ways: list[Way] = []
    if settings.allowed_devices:
        ways.append(AllowedDevices(settings.allowed_devices))
    if settings.mints:
        key = settings.key.encode() or server_key(workshop.state)
        ways.append(StaticTokens(settings.tokens))
        ways.append(DeviceTokens(key, register, settings.device_token_days))
    if settings.jwt.given:
        from xiaozhi.services.auth.jwt import JsonWebTokens, with_key

        ways.append(JsonWebTokens(with_key(settings).jwt))
    if settings.mints:
        ways.append(StoredTokens(register))
    if settings.oauth2.given:
        from xiaozhi.services.auth.oauth2 import Introspection

        ways.append(Introspection(settings.oauth2, workshop.pool, workshop.reactor, now))
    return ways


def _undecided(failure: Failure) -> Refused:
    failure.trap(TimedOut)
    return Refused(f"not decided within {PATIENCE:g} s", "failure")
