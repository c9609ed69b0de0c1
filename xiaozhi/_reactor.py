"""Install the reactor this house stands on: asyncio's, since openai lives on asyncio.

Must run before anything imports `twisted.internet.reactor`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from twisted.internet import asyncioreactor
from twisted.internet.base import DelayedCall
from twisted.internet.main import installReactor
from twisted.python.usage import UsageError


def install(*, fast: bool = False) -> None:
    """Install the asyncio reactor, on uvloop if `fast` and it is there.

    Raises UsageError if another kind of reactor is already in place.
    """
    if "twisted.internet.reactor" in sys.modules:
        from twisted.internet import reactor

        if not isinstance(reactor, asyncioreactor.AsyncioSelectorReactor):
            raise UsageError("xiaozhi runs on the asyncio reactor: leave --reactor out")
        return
    loop = _uvloop() if fast else asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    installReactor(Reactor(loop))


class Reactor(asyncioreactor.AsyncioSelectorReactor):
    """Runs every timer in the context it was set in, as asyncio does.

    Twisted's would run it in that of whichever timer asyncio was told of last.
    """

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> DelayedCall:
        """Call later, and in this context."""
        call: DelayedCall = super().callLater(delay, copy_context().run, callable, *args, **kwargs)
        return call


def _uvloop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
