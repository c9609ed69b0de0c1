"""The device boots: it fetches its configuration, and is activated if it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xiaozhi.device import ota
from xiaozhi.device.errors import Refused
from xiaozhi.device.http import post
from xiaozhi.device.turns import Event
from xiaozhi.device.waiting import Waiting

ASK: Final = 10
"""How often the device asks whether it is activated before it fetches everything anew."""

PENDING: Final = 3.0
"""Seconds between such questions; after an error the firmware waits `RETRY`."""
RETRY: Final = 10.0


async def boot(
    reactor: Any, profile: ota.Profile, notify: Callable[[Event], None], deadline: float
) -> ota.Offer:
    """Fetch the configuration until it asks for no activation.

    Raises Unreachable, NoAnswer, Crashed, and Refused if it is of no use or still not activated
    at the `deadline`.
    """
    if not profile.ota_url:
        return ota.Offer(profile.ws_url, profile.token)
    while True:
        status, reply = await _post(reactor, profile, "", ota.body(profile), deadline)
        if status != 200:
            raise Refused(f"{profile.ota_url} answered {status}")
        offer = ota.read(reply)
        notify(Event(reactor.seconds(), "configuration", {"url": offer.url}))
        if offer.activation is None:
            return offer
        code, message = offer.activation.code, offer.activation.message
        notify(Event(reactor.seconds(), "activation", {"code": code, "message": message}))
        await _activate(reactor, profile, offer.activation, deadline)


async def _activate(
    reactor: Any, profile: ota.Profile, activation: ota.Activation, deadline: float
) -> None:
    """Ask whether the user has entered the code; only a challenge is asked about by request."""
    for _ in range(ASK):
        pause = RETRY
        if activation.challenge:
            status, _reply = await _post(reactor, profile, "activate", b"{}", deadline)
            if status == 200:
                return
            pause = PENDING if status == 202 else RETRY
        if reactor.seconds() + pause > deadline:
            raise Refused(f"not activated yet: {activation.message} {activation.code}".strip())
        await Waiting(reactor).sleep(pause)


async def _post(
    reactor: Any, profile: ota.Profile, path: str, body: bytes, deadline: float
) -> tuple[int, bytes]:
    url = f"{profile.ota_url.rstrip('/')}/{path}" if path else profile.ota_url
    left = max(0.1, deadline - reactor.seconds())
    return await post(reactor, url, ota.headers(profile), [body], left)
