"""Activation: a device is handed a token once somebody has entered the code that it shows."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError
from xiaozhi.identity import normal
from xiaozhi.services.auth.settings import Auth
from xiaozhi.services.networks import NEIGHBOURS, Networks, parse, whose
from xiaozhi.services.sparing import Sparing
from xiaozhi.services.store import Activation, DeviceRecord, Seen, Store
from xiaozhi.services.store.records import TICK
from xiaozhi.settings import Activation as Settings

PATIENCE: Final = 1.8
"""Seconds within which a device is told, whatever the store does: two with the rest."""

_TIMEOUT_MS: Final = 30_000
"""Told to devices, which take no notice."""
_MESSAGES: Mapping[str, str] = {
    "zh": "请在服务器上运行：xiaozhi activate {code}",
    "en": "On the server, run: xiaozhi activate {code}",
}

Progress = Literal["done", "pending", "stale", "unknown"]
"""How far an activation is; "stale" if the device has asked about another one."""


class Mint(Protocol):
    """Makes the tokens of devices; "" where these have none."""

    def __call__(self, device_id: str, now: float) -> str:
        """Make one that is issued at `now`."""


@attrs.frozen
class Papers:
    """What a device is handed with its configuration."""

    token: str = attrs.field(default="", repr=False)
    """"" if it has none, or needs none."""
    activation: Activation | None = None
    """What it waits for; None if it may talk."""


class Enrolment(Service):
    """Notes which devices there are, and hands each what it is entitled to."""

    log = Logger()

    def __init__(
        self,
        store: Store,
        mint: Mint,
        auth: Auth,
        settings: Settings,
        most: int,
        clock: Any,
        now: Callable[[], float],
    ) -> None:
        """Keep at most so many devices in the `store`. `now` gives UTC, in epoch seconds."""
        self._store = store
        self._clock = clock
        self._now = now
        self._lines = Sparing(clock, self._sum)
        self.heed(mint, auth, settings, most)

    def stopService(self) -> None:
        """Write what is left to say."""
        super().stopService()
        self._lines.sum_up()

    def heed(self, mint: Mint, auth: Auth, settings: Settings, most: int) -> None:
        """Go by these settings from now on, with tokens by `mint`."""
        self._mint = mint
        self._mints = auth.mints
        self._required = auth.mints if settings.required is None else settings.required
        self._exempt = frozenset(map(normal, auth.allowed_devices))
        # Where devices are served at all; None if it is their tokens that count.
        self._near = Networks((*NEIGHBOURS, *auth.open_to)) if auth.mode == "off" else None
        self._message = settings.message
        self._most = most

    def check_in(self, seen: Seen) -> Deferred[Papers]:
        """Note a device that boots, and tell what it is handed.

        Who is too far away to connect is not noted, so that strangers cannot fill the store.
        Fails with ServiceError, within `PATIENCE`, if the store does not answer and a device
        without a token could not connect. Otherwise that keeps nobody from talking.
        """
        if self._near is not None and parse(seen.address) not in self._near:
            return succeed(Papers())
        noted = self._store.seen(seen, self._now(), self._most)
        if seen.id in self._exempt or not (self._mints or self._required):
            noted.addErrback(lambda failure: failure.trap(ServiceError))  # the store has told it
            return succeed(Papers())
        handing = Deferred.fromCoroutine(self._papers(noted))
        handing.addTimeout(PATIENCE, self._clock, onTimeoutCancel=_late)
        if not self._mints:
            handing.addErrback(_let_pass)
        return handing

    async def progress(self, device_id: str, challenge: str = "") -> Progress:
        """Tell whether a device is activated; `challenge` is the one it was told, if it says.

        Raises ServiceError.
        """
        if not self._required or device_id in self._exempt:
            return "done"
        device = await self._store.device(device_id)
        if device is None:
            return "unknown"
        if device.activated_at is not None:
            return "done"
        if challenge:
            activation = await self._activation(device)
            if not hmac.compare_digest(activation.challenge.encode(), challenge.encode()):
                return "stale"
        return "pending"

    def describe(self, activation: Activation, language: str) -> dict[str, Any]:
        """Write an activation as devices read it, for a user of `language` (primary subtag)."""
        message = self._message or _MESSAGES.get(language, _MESSAGES["en"])
        return {
            "code": activation.code,
            "message": message.replace("{code}", activation.code),
            "challenge": activation.challenge,
            "timeout_ms": _TIMEOUT_MS,
        }

    def token(self, device: DeviceRecord) -> str:
        """Make the token of a device; "" if it may have none."""
        if math.isinf(device.not_before):
            return ""
        # Also where the clock that it was activated or revoked by was ahead of this one.
        return self._mint(device.id, max(self._now(), device.not_before + TICK))

    async def _papers(self, noted: Deferred[DeviceRecord]) -> Papers:
        device = await noted
        if device.activated_at is None and not device.blocked and self._required:
            return Papers(activation=await self._activation(device))
        return Papers(self.token(device))

    async def _activation(self, device: DeviceRecord) -> Activation:
        """Find or make the code a device shows; the log tells of a new one, without it."""
        now = self._now()
        activation = await self._store.code_for(device.id, now)
        if activation.made_at == now and self._lines.allows(whose(device.address)):
            self.log.info(
                "{device} ({board}) at {address} waits to be activated, and shows a new code",
                device=device.id,
                board=device.board or "no board told",
                address=device.address or "an unknown address",
            )
        return activation

    def _sum(self, number: int, whose: str) -> None:
        self.log.info("{number} more devices at {peer} wait, too", number=number, peer=whose)


def _late(_: object, patience: float) -> Failure:
    return Failure(ServiceError("store", f"no answer within {patience:g} s"))


def _let_pass(failure: Failure) -> Papers:
    failure.trap(ServiceError)
    return Papers()
