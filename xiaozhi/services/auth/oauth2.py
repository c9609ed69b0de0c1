"""Tokens that another server has issued, and is asked about (RFC 7662, introspection)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.defer import TimeoutError as TimedOut

from xiaozhi.errors import ServiceError
from xiaozhi.services.auth.caller import Admitted, Caller, Refused, Verdict
from xiaozhi.services.auth.claims import Wanted
from xiaozhi.services.auth.credential import fingerprint
from xiaozhi.services.auth.devicetokens import is_minted
from xiaozhi.services.auth.settings import OAuth2
from xiaozhi.services.bridge import from_aio, to_aio
from xiaozhi.services.http import preload, shown
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.pool import Workers

if TYPE_CHECKING:
    import httpx2

PATIENCE: Final = 3.0
"""Seconds the other server may take, all in all."""
KEPT: Final = 60.0
"""Seconds a good answer is believed without asking again: so long a revoked token may live on."""

_REMEMBERED = 1024
"""Good answers that are kept."""
_AT_ONCE = 32
"""Questions on their way; who comes then is refused, so that a flood is not handed on."""
_LONGEST = 1 << 16
"""Bytes of an answer."""

Claims = Mapping[str, Any]


class Introspection(Service):
    """Let in who shows a token of which the other server says that it is active."""

    def __init__(
        self, settings: OAuth2, pool: Workers, clock: Any, now: Callable[[], float]
    ) -> None:
        """Ask as `settings` say; the client is made in a thread of the `pool`."""
        self._settings = settings
        self._clock = clock
        self._now = now
        self._wanted = Wanted(settings.audience, settings.sub_prefix)
        self._client = Lazy(pool, _client)
        self._kept: OrderedDict[bytes, tuple[float, Claims]] = OrderedDict()
        self._asking = 0

    def stopService(self) -> Deferred[None]:
        """Close the connections, and forget what was said."""
        super().stopService()
        self._kept.clear()
        client = self._client.drop()
        return succeed(None) if client is None else from_aio(client.aclose())

    def judge(self, caller: Caller, now: float) -> Deferred[Verdict | None] | None:
        """Ask, unless the answer is known. What this server has minted is not told to others."""
        if not caller.token or is_minted(caller.token):
            return None
        return ensureDeferred(self._judge(caller, caller.token, now))

    async def _judge(self, caller: Caller, token: str, now: float) -> Verdict | None:
        key = sha256(token.encode()).digest()
        until, claims = self._kept.get(key, (0.0, {}))
        if not now < until:
            claims = await self._ask(token)
            now = self._now()
            if claims.get("active") is not True:
                return Refused("the token is not active", "bad_token")
        fault = self._wanted.fault(claims, caller.identity.device, now)
        if fault is None:
            self._keep(key, claims, until if now < until else now + KEPT)
            return Admitted(f"the OAuth2 token {fingerprint(token)}")
        return fault

    def _keep(self, key: bytes, claims: Claims, until: float) -> None:
        """Keep a good answer, but not beyond the token's own end."""
        self._kept[key] = min(until, claims.get("exp") or math.inf), claims
        self._kept.move_to_end(key)
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)

    async def _ask(self, token: str) -> Claims:
        """Ask the other server; ServiceError if it does not answer as it should, in time."""
        if self._asking >= _AT_ONCE:
            raise ServiceError("introspection", "too many questions on their way")
        self._asking += 1
        try:
            asking = from_aio(self._post(token))
            asking.addTimeout(PATIENCE, self._clock)
            return await asking
        except TimedOut as error:
            raise ServiceError("introspection", f"no answer within {PATIENCE:g} s") from error
        finally:
            self._asking -= 1

    async def _post(self, token: str) -> Claims:
        """Send the question. Belongs to asyncio."""
        client = await to_aio(self._client.get())
        import httpx2

        settings = self._settings
        auth = None
        if settings.client_id:  # written as RFC 6749 2.3.1 has it
            auth = quote_plus(settings.client_id), quote_plus(settings.client_secret)
        where = shown(settings.introspection_url)
        try:
            async with client.stream(
                "POST",
                settings.introspection_url,
                data={"token": token, "token_type_hint": "access_token"},
                headers={"Accept": "application/json"},
                auth=auth,
            ) as reply:
                if reply.status_code != httpx2.codes.OK:
                    raise ServiceError("introspection", f"{where}: HTTP {reply.status_code}")
                body = b""
                async for piece in reply.aiter_bytes():
                    body += piece
                    if len(body) > _LONGEST:
                        raise ServiceError("introspection", f"{where}: the answer is too long")
            claims = msgspec.json.decode(body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            why = str(error) or type(error).__name__
            raise ServiceError("introspection", f"{where}: {why}") from error
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise ServiceError("introspection", f"{where}: sent no JSON") from error
        if not isinstance(claims, dict):
            raise ServiceError("introspection", f"{where}: sent no introspection")
        return claims


def _client() -> httpx2.AsyncClient:
    """Import httpx2 and make a client: for a thread."""
    import httpx2

    preload()
    return httpx2.AsyncClient(timeout=httpx2.Timeout(PATIENCE))
