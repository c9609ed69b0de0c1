"""Who may ask something of /api/: operators, known by their tokens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import Any, Final

from twisted.web.http import Request

from xiaozhi.services.auth.credential import credential
from xiaozhi.services.counters import Counters
from xiaozhi.services.networks import neighbourhood, parse
from xiaozhi.services.store import Store, TokenRecord
from xiaozhi.services.web.answering import Problem
from xiaozhi.services.web.asking import headers
from xiaozhi.services.web.proxies import Proxies

TRIES: Final = 10
"""Wrong tokens one address may show within the `WINDOW`."""
WINDOW: Final = 60.0
"""Seconds."""
ADDRESSES: Final = 1000
"""Addresses whose tries are remembered; those of the longest ago make room."""


class Operators:
    """Knows operators by their tokens; who shows wrong ones must wait."""

    def __init__(
        self, store: Store, proxies: Callable[[], Proxies], counters: Counters, clock: Any
    ) -> None:
        """Look tokens up in the `store`; count who is refused. `proxies` may be others later."""
        self._store = store
        self._proxies = proxies
        self._counters = counters
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def identify(self, request: Request) -> TokenRecord:
        """Tell whose request it is; raises Problem if nobody's, and ServiceError."""
        heads = headers(request)
        origin = self._proxies().origin(getattr(request.getClientAddress(), "host", ""), heads)
        address = parse(origin.peer)
        whose = neighbourhood(address) if address else origin.peer
        since, tries = self._wrong.get(whose, (0.0, 0))
        wait = since + WINDOW - self._clock.seconds()
        if tries >= TRIES and wait > 0:
            # Nothing is looked up for them, so that nobody can keep the store busy.
            raise self._refuse(
                "tries", 429, "too many wrong tokens", {"Retry-After": str(ceil(wait))}
            )
        token = credential({}, heads)
        if not token:
            raise self._refuse("no_token", 401, "an operator's token is needed")
        found = await self._store.find_token("operator", token)
        if found is None:
            self._note(whose)
            raise self._refuse("bad_token", 401, "no operator has this token")
        return found

    def _note(self, whose: str) -> None:
        """Count a wrong token."""
        now = self._clock.seconds()
        since, tries = self._wrong.pop(whose, (now, 0))
        if since + WINDOW <= now:
            since, tries = now, 0
        self._wrong[whose] = since, tries + 1
        if len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)

    def _refuse(
        self, reason: str, status: int, why: str, more: dict[str, str] | None = None
    ) -> Problem:
        self._counters.count("operators_refused", reason=reason)
        return Problem(status, why, more or {"WWW-Authenticate": "Bearer"})
