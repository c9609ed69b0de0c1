"""What a token says about itself: from when to when, for whom, and whose it is."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

import attrs

from xiaozhi.identity import normal
from xiaozhi.services.auth.caller import Refused

LEEWAY: Final = 30.0
"""Seconds two clocks may differ."""


@attrs.frozen
class Wanted:
    """What is wanted of a token's claims."""

    audience: str = ""
    """Whom it must be for; "" for anybody."""
    sub_prefix: str | None = None
    """Its subject must be this and the device's id; None: it may be any."""

    def fault(self, claims: Mapping[str, Any], device: str, now: float) -> Refused | None:
        """Tell what is wrong with the `claims` of a token `device` has shown, if anything."""
        begins, ends = claims.get("nbf", 0), claims.get("exp")
        # Written so that what is no number, and NaN, is refused.
        if not (_is_number(begins) and begins <= now + LEEWAY):
            return Refused("the token is not valid yet", "expired")
        if ends is not None and not (_is_number(ends) and now < ends + LEEWAY):
            return Refused("the token has expired", "expired")
        if self.audience and self.audience not in _texts(claims.get("aud")):
            return Refused("the token is for another audience", "bad_token")
        if self.sub_prefix is not None and not self._is_subject(claims.get("sub"), device):
            return Refused("the token's subject is not this device", "device")
        return None

    def _is_subject(self, subject: object, device: str) -> bool:
        prefix = self.sub_prefix or ""
        if not isinstance(subject, str) or not subject.startswith(prefix):
            return False
        named = normal(subject.removeprefix(prefix))
        return hmac.compare_digest(named.encode(), device.encode())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
