"""The log of who was refused: a line for each, but no flood of them."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError
from xiaozhi.services.auth.caller import Caller, Label, Refused
from xiaozhi.services.networks import whose
from xiaozhi.services.sparing import Sparing
from xiaozhi.services.store.records import DeviceRecord

_WITHOUT: Final = frozenset[Label]({"no_token", "revoked"})
"""How a blocked device is refused: it was handed no token, or its own is void."""


class Book(Protocol):
    """Knows devices: the store."""

    def device(self, device_id: str) -> Deferred[DeviceRecord | None]:
        """Look up a device. Fails with ServiceError."""


class Refusals:
    """Writes the log of the refused."""

    log = Logger()

    def __init__(self, clock: Any, book: Book | None = None) -> None:
        """Take the `clock` that ends each window, and the `book` that tells who is blocked."""
        self._sparing = Sparing(clock, self._sum)
        self._book = book

    def note(self, caller: Caller, why: str) -> None:
        """Write a line, or count it."""
        if self._sparing.allows(whose(caller.peer)):
            self._write(caller, why)

    def unadmitted(self, caller: Caller, refused: Refused) -> None:
        """Note somebody whose papers were not in order.

        The book is asked for lines that are written only, so that no flood can keep it busy.
        """
        if self._book is None or refused.label not in _WITHOUT:
            self.note(caller, refused.why)
        elif self._sparing.allows(whose(caller.peer)):

            def found(device: DeviceRecord | None) -> None:
                blocked = device is not None and device.blocked
                why = f"the device is blocked ({refused.why})" if blocked else refused.why
                self._write(caller, why)

            def failed(failure: Failure) -> None:
                failure.trap(ServiceError)
                self._write(caller, refused.why)

            self._book.device(caller.identity.device).addCallbacks(found, failed)

    def sum_up(self) -> None:
        """Tell of those nothing was written about. Also at the end of all."""
        self._sparing.sum_up()

    def _write(self, caller: Caller, why: str) -> None:
        device, peer = caller.identity.device, caller.peer
        self.log.warn("refused {device} from {peer}: {why}", device=device, peer=peer, why=why)

    def _sum(self, number: int, peer: str) -> None:
        self.log.warn("refused {number} more from {peer}", number=number, peer=peer)
