"""The ways of those who are on a list: static tokens, allowed devices, neighbours."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from hashlib import sha256

import attrs

from xiaozhi.identity import normal
from xiaozhi.services.auth.caller import Admitted, Caller, Refused, Verdict
from xiaozhi.services.auth.settings import StaticToken
from xiaozhi.services.networks import NEIGHBOURS, Networks, parse


@attrs.frozen
class _Known:
    digest: bytes
    name: str
    devices: frozenset[str]


class StaticTokens:
    """Tokens that stand in the configuration, some for certain devices only."""

    def __init__(self, tokens: Sequence[StaticToken]) -> None:
        """Let in who shows one of `tokens`."""
        self._known = [
            _Known(_digest(token.token), token.name, frozenset(map(normal, token.devices)))
            for token in tokens
        ]

    def judge(self, caller: Caller, now: float) -> Verdict | None:
        """Compare with every token, so that the time it takes tells nothing."""
        shown = _digest(caller.token or "")
        found = [one for one in self._known if hmac.compare_digest(one.digest, shown)]
        if not found:
            return None
        one = found[0]
        what = f"the token {one.name}" if one.name else "a static token"
        if one.devices and caller.identity.device not in one.devices:
            return Refused(f"{what} is for other devices", "device")
        return Admitted(what)


class AllowedDevices:
    """Devices that need no token. Their ids are what lets them in, so they are kept as hashes."""

    def __init__(self, devices: Iterable[str]) -> None:
        """Let in `devices`."""
        self._digests = frozenset(_digest(normal(device)) for device in devices)

    def judge(self, caller: Caller, now: float) -> Verdict | None:
        """Look the device up. Nobody can steer a hash towards one that is on the list."""
        if _digest(caller.identity.device) in self._digests:
            return Admitted("auth.allowed_devices")
        return None


class Neighbours:
    """Those whose address is near: loopback, private, link-local."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """Let in the neighbours, and those in the networks `more`."""
        self._near = Networks((*NEIGHBOURS, *more))

    def judge(self, caller: Caller, now: float) -> Verdict:
        """Look at the address, and at all a proxy says it speaks for: that can only hurt."""
        for address in (caller.peer, *caller.claimed):
            if parse(address) not in self._near:
                whose = " (forwarded by a proxy)" if address != caller.peer else ""
                return Refused(
                    f"{address}{whose} is in no private network, and auth.mode is off", "address"
                )
        return Admitted("auth.mode is off")


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
