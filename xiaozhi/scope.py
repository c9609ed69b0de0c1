"""Of which session a line of the log speaks.

Whatever is done for a session is done within `about(scope)`: by its coroutines and timers too,
since those keep the context they were made in (for timers, `_reactor.py` sees to it). So no line
needs to name its session: not the session's own, and not one of an engine that works for it.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import NamedTuple


class Scope(NamedTuple):
    """A session, as the log knows it."""

    session: str
    device: str


_current: ContextVar[Scope | None] = ContextVar("xiaozhi.scope", default=None)


def current() -> Scope | None:
    """Tell for which session this is done; None if for none, or for all."""
    return _current.get()


class about:  # noqa: N801 - read as a word: with about(scope)
    """Do something for a session."""

    __slots__ = ("_scope", "_token")
    _token: Token[Scope | None]

    def __init__(self, scope: Scope | None) -> None:
        """Take the session; None stands for nobody."""
        self._scope = scope

    def __enter__(self) -> None:
        self._token = _current.set(self._scope)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
