"""The device's HTTP client: it posts something and reads a small answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from xiaozhi.device.errors import NoAnswer, Unreachable

LIMIT: Final = 65536
"""Bytes of an answer that are read."""


@implementer(IBodyProducer)
class _Body:
    def __init__(self, pieces: Sequence[bytes], chunked: bool) -> None:
        self._pieces = pieces
        self.length: Any = UNKNOWN_LENGTH if chunked else sum(map(len, pieces))

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        for piece in self._pieces:
            consumer.write(piece)
        return succeed(None)

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def stopProducing(self) -> None:
        pass


class _Collector(Protocol):
    """Collect a small body; a large one is cut off."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data = (self._data + data)[:LIMIT]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(self._data)
        else:
            self.done.errback(reason)


async def post(
    reactor: Any,
    url: str,
    headers: Mapping[str, str],
    pieces: Sequence[bytes],
    seconds: float,
    chunked: bool = False,
) -> tuple[int, bytes]:
    """Post a body in `pieces` to `url` and return (status, answer).

    With `chunked` each is a chunk, and nobody is told beforehand how long all of it is.
    Raises Unreachable if nobody is there, NoAnswer after `seconds`.
    """
    fields = Headers({name: [value] for name, value in headers.items()})
    clock: IReactorTime = reactor
    end = clock.seconds() + seconds
    try:
        asked = Agent(reactor, connectTimeout=seconds).request(
            b"POST", url.encode(), fields, _Body(pieces, chunked)
        )
        response = await asked.addTimeout(seconds, clock)
        collector = _Collector()
        response.deliverBody(collector)
        left = max(0.1, end - clock.seconds())
        return response.code, await collector.done.addTimeout(left, clock)
    except TimeoutError:
        raise NoAnswer(f"{url} did not answer in {seconds:g} s") from None
    except (ConnectError, DNSLookupError) as error:
        raise Unreachable(f"{url}: {error}") from error
    except (ConnectionClosed, ResponseFailed) as error:
        raise Unreachable(f"{url} hung up: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """Say in words why there is no answer: Twisted keeps a list of causes, OpenSSL one of its own.

    OpenSSL's is of (library, function, fault); it is empty where it only hung up.
    """
    causes = [failure.value for failure in getattr(error, "reasons", ())] or [error]
    return ", ".join(
        f"TLS: {cause.args[0][-1][-1]}"
        if isinstance(cause, SSL.Error) and cause.args and cause.args[0]
        else str(cause)
        for cause in causes
    )
