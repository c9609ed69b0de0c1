"""What engines that speak HTTP have in common: addresses, late imports, words for a failure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Final
from urllib.parse import urlsplit

from xiaozhi.errors import Refused, ServiceError, Unavailable
from xiaozhi.mistakes import Mistake

_LATE = ("anyio._backends._asyncio", "email.policy")
_WRONG_REQUEST: Final = frozenset({400, 413, 415, 422})
_BUSY: Final = frozenset({429, 503})
_LONGEST_REST: Final = 300.0


def preload() -> None:
    """Import what httpx2 would only import at its first request, on the reactor."""
    for name in _LATE:
        with suppress(ImportError):  # another version of it may have another
            import_module(name)


def address(url: str, setting: str) -> str:
    """Return `url`, the value of a `setting`; raise Unavailable if it is no address of HTTP.

    The error does not repeat it: what was put in the wrong place may be a secret.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets without end, a port that is none
        usable = False
    if not usable or not url.isprintable():
        raise Unavailable(
            f"its {setting} is not an http:// or https:// address",
            f"它的 {setting} 不是 http:// 或 https:// 地址",
        )
    return url


def checked(url: str) -> None:
    """Raise Mistake if `url`, the setting of that name, is no address of HTTP."""
    try:
        address(url, "url")
    except Unavailable:
        raise Mistake("odd_url") from None


def shown(url: str) -> str:
    """Return the address without what may be secret in it: name, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def short(text: str, limit: int = 200) -> str:
    """Return what somebody else said as one line of at most `limit` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def failure(stage: str, why: str, status: int, headers: Mapping[str, str]) -> ServiceError:
    """Make the error of an answer with an HTTP `status` that is one: Refused if the request was.

    A server that is busy may say how many seconds it wants to be left alone.
    """
    kind = Refused if status in _WRONG_REQUEST else ServiceError
    return kind(stage, why, _rest(headers.get("retry-after", "")) if status in _BUSY else 0.0)


def _rest(seconds: str) -> float:
    """Read the header Retry-After; a date in it counts for nothing."""
    return min(float(seconds), _LONGEST_REST) if seconds.isdecimal() and seconds.isascii() else 0.0
