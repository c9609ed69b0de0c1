"""JSON-RPC 2.0, the side that asks: requests with ids, and the replies that belong to them.

Pure: messages are dicts on their way to JSON or from it, and the time is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs

T = TypeVar("T")

LONGEST: Final = 2000
"""Characters of somebody else's error that are kept."""


@attrs.frozen
class Fault:
    """A reply that is an error."""

    why: str
    code: int | None = None
    """None if there is none, as the firmware's errors have it."""


@attrs.frozen
class Reply(Generic[T]):
    """A reply to one of our calls."""

    kept: T
    """What was kept of the call."""
    result: Any
    """The result, or a Fault."""


class Full(Exception):
    """There are as many calls under way as there may be."""


@attrs.frozen
class _Pending(Generic[T]):
    kept: T
    deadline: float


class Calls(Generic[T]):
    """The calls that wait for their replies; of each something is kept, until it is settled.

    Ids are small and increasing: the firmware holds them in 32 bits, and answers no others.
    """

    def __init__(self, most: int) -> None:
        """Let at most so many calls be under way."""
        self._most = most
        self._next = 1
        self._pending: dict[int, _Pending[T]] = {}

    def __len__(self) -> int:
        """Tell how many calls are under way."""
        return len(self._pending)

    def __iter__(self) -> Iterator[T]:
        """Give what was kept of each."""
        return iter([pending.kept for pending in self._pending.values()])

    def call(
        self, method: str, params: Mapping[str, Any], kept: T, deadline: float
    ) -> dict[str, Any]:
        """Make a request, to be answered by `deadline`. Raises Full.

        `params` are always there: the firmware does not answer where they are null.
        """
        if len(self._pending) >= self._most:
            raise Full(f"{self._most} calls are under way")
        number, self._next = self._next, self._next + 1
        self._pending[number] = _Pending(kept, deadline)
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}

    def take(self, message: Mapping[str, Any]) -> Reply[T] | None:
        """Take a message; None if it is no reply to a call that is under way.

        That is a request, a notification, or a reply that comes too late or twice.
        """
        number = None if "method" in message else _number(message.get("id"))
        pending = None if number is None else self._pending.pop(number, None)
        return None if pending is None else Reply(pending.kept, _outcome(message))

    def next_at(self) -> float | None:
        """Tell when the next call is overdue; None if there is none."""
        return min((pending.deadline for pending in self._pending.values()), default=None)

    def expire(self, now: float) -> list[T]:
        """Give up the calls that are overdue, and give what was kept of them."""
        late = [number for number, pending in self._pending.items() if pending.deadline <= now]
        return [self._pending.pop(number).kept for number in late]

    def clear(self) -> list[T]:
        """Give up all calls, and give what was kept of them."""
        kept = list(self)
        self._pending.clear()
        return kept


def notification(method: str) -> dict[str, Any]:
    """Make a notification, which nobody answers."""
    return {"jsonrpc": "2.0", "method": method}


def _number(written: object) -> int | None:
    """Read an id of ours, which may come back as a float or in quotes."""
    if isinstance(written, bool):
        return None
    if isinstance(written, float) and written.is_integer():
        return int(written)
    if isinstance(written, str) and written.isascii() and written.isdigit() and len(written) < 12:
        return int(written)
    return written if isinstance(written, int) else None


def _outcome(message: Mapping[str, Any]) -> Any:
    """Tell the result, or the fault; a reply that is neither is a fault, too."""
    error = message.get("error")
    if error is not None:
        return _fault(error)
    if "result" not in message:
        return Fault("the reply has neither a result nor an error")
    return message["result"]


def _fault(error: object) -> Fault:
    if not isinstance(error, dict):
        return Fault(str(error)[:LONGEST])
    code = error.get("code")
    why = error.get("message")
    return Fault(
        why[:LONGEST] if isinstance(why, str) and why else "no reason was given",
        code if isinstance(code, int) and not isinstance(code, bool) else None,
    )
