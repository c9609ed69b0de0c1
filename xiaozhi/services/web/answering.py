"""Answers that take a while: in JSON, whatever becomes of the work behind them."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.server import NOT_DONE_YET

from xiaozhi.errors import ServiceError

_log = Logger()


@attrs.frozen
class Answer:
    """What is sent."""

    content: Any
    """As JSON."""
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})


class Problem(Exception):
    """A request that is refused; `str()` says why, to whoever asked."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        """Refuse it with an HTTP `status`."""
        super().__init__(why)
        self.status = status
        self.headers = headers or {}


def answer(request: Request, work: Coroutine[Deferred[Any], Any, Answer]) -> int:
    """Answer `request` with what `work` comes to; who hangs up meanwhile ends the work."""
    working = Deferred.fromCoroutine(work)
    gone: list[Failure] = []

    def hung_up(failure: Failure) -> None:
        gone.append(failure)
        working.cancel()

    request.notifyFinish().addErrback(hung_up)
    working.addErrback(_wrong)
    working.addCallback(lambda told: None if gone else _write(request, told))
    return int(NOT_DONE_YET)


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Make the answer that something is not done."""
    return Answer({"success": False, "error": why}, status, headers or {})


def _write(request: Request, told: Answer) -> None:
    body = msgspec.json.encode(told.content)
    request.setResponseCode(told.status)
    request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
    # Never in chunks: the firmware takes some of these for broken.
    request.setHeader(b"Content-Length", b"%d" % len(body))
    for name, text in told.headers.items():
        request.setHeader(name.encode(), text.encode())
    request.write(body)
    request.finish()


def _wrong(failure: Failure) -> Answer:
    error = failure.value
    if isinstance(error, Problem):
        return refusal(error.status, str(error), error.headers)
    if isinstance(error, ServiceError):
        return refusal(503, str(error))
    if not isinstance(error, CancelledError):
        _log.failure("our fault, in the answer to a request", failure)
    return refusal(500, "internal error")
