"""Requests as they may come: with an end, in bytes and in time, and by any method.

Twisted would keep any body in a file until it is whole, and wait for ever for a request of which
a byte comes now and then; where the path is not ASCII it fails to refuse a method, or to speak of
a HEAD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from xiaozhi.services.web.answering import refusal

LONGEST: Final = 65536
"""Bytes of a body; devices send about two thousand."""
PATIENCE: Final = 10.0
"""Seconds from the first byte of a request to its last."""
UPLOADING: Final = 30.0
"""The same from the end of the headers on, where a body may be longer than usual."""

Allowance = Callable[[Request], int]
"""Tells, of a request whose headers are there, how many bytes its body may have."""

Limit = Literal["pages", "slow_request", "large_request"]
"""What was exceeded: the connections there may be, `PATIENCE`, `LONGEST`."""


class BoundedChannel(HTTPChannel):
    """A connection that is ended with 408 if a request is not whole within `PATIENCE`."""

    transport: Any
    factory: Any
    callLater: Any
    _path: bytes
    _late: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Begin, if there is a place."""
        super().connectionMade()
        if not self.factory.enter(self):
            self.transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n"
                b"Content-Length: 0\r\n\r\n"
            )
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Take some of a request."""
        if self._late is None:
            self._late = self.callLater(PATIENCE, self._end)
        super().dataReceived(data)

    def allowance(self, request: Request) -> int:
        """Tell how many bytes the body of a request may have; a long one may take its time."""
        path: bytes = self._path.partition(b"?")[0]
        allows = self.factory.uploads.get(path.decode("latin-1").rstrip("/"))
        longest = LONGEST if allows is None else max(LONGEST, allows(request))
        if longest > LONGEST and self._late is not None:
            self._late.reset(UPLOADING)
        return longest

    def allContentReceived(self) -> None:
        """Hear that the request is whole."""
        self._in_time()
        super().allContentReceived()
        if self.transport is None:  # it goes on as a WebSocket, which others count
            self.factory.leave(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # has a default
        """Hear that nothing more will come."""
        self._in_time()
        self.factory.leave(self)
        super().connectionLost(reason)

    def _in_time(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()

    def _end(self) -> None:
        self.factory.refused("slow_request")
        self.transport.write(
            b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        self.setTimeout(None)
        self.timeoutConnection()  # which cuts it off if that is not read either


class BoundedSite(Site):
    """Serves at most so many connections that are no WebSocket, or none yet."""

    protocol: Any = BoundedChannel  # instead of one that may go over to HTTP/2

    def __init__(
        self,
        root: Resource,
        most: int,
        refused: Callable[[Limit], object],
        uploads: Mapping[str, Allowance],
        **options: Any,
    ) -> None:
        """Take Twisted's `options`; `refused` is told the limit that somebody has exceeded.

        `uploads` are the paths at which a body may be longer than `LONGEST`.
        """
        # A form with a photo in it would be taken apart here, on the reactor: see multipart.py.
        options |= {"requestFactory": BoundedRequest, "parsePOSTFormSubmission": False}
        super().__init__(root, **options)
        self.uploads = uploads
        self._most = most
        self.refused = refused
        self._inside: set[BoundedChannel] = set()

    def enter(self, channel: BoundedChannel) -> bool:
        """Let a connection in; say whether there was a place."""
        if len(self._inside) >= self._most:
            self.refused("pages")
            return False
        self._inside.add(channel)
        return True

    def leave(self, channel: BoundedChannel) -> None:
        """Give its place back, if it had one."""
        self._inside.discard(channel)


class BoundedRequest(Request):
    """A request that is ended with 413 once its body is longer than it may be."""

    channel: Any
    content: Any
    _ended = False
    _longest = LONGEST

    def gotLength(self, length: int | None) -> None:
        """Hear how long the body will be; None if in chunks."""
        super().gotLength(length)
        self._longest = self.channel.allowance(self)
        self._measure(length or 0)

    def handleContentChunk(self, data: bytes) -> None:
        """Take some of the body."""
        self._measure(self.content.tell() + len(data))
        if not self._ended:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Have it answered, if it still is to be."""
        if not self._ended:
            super().requestReceived(command, path, version)

    def render(self, resrc: Any) -> None:
        """Have a page answer."""
        super().render(_Refusing(resrc))

    def _measure(self, length: int) -> None:
        if length <= self._longest or self._ended:
            return
        self._ended = True
        self.channel.factory.refused("large_request")
        told = refusal(413, f"the body is longer than {self._longest} bytes")
        body = msgspec.json.encode(told.content)
        self.channel.transport.write(
            b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        self.channel.loseConnection()


class _Refusing(Resource):
    """A page that refuses the methods it does not have, and answers HEAD without a body."""

    def __init__(self, page: Resource) -> None:
        super().__init__()
        self._page = page

    def render(self, request: Any) -> bytes | int:
        try:
            answered: bytes | int = self._page.render(request)
        except UnsupportedMethod as error:
            request.setResponseCode(405)
            request.setHeader(b"Allow", b", ".join(sorted(error.allowedMethods)))
            return b""
        if request.method == b"HEAD" and isinstance(answered, bytes):
            request.setHeader(b"Content-Length", b"%d" % len(answered))
            return b""  # Twisted would leave it out, too, and complain
        return answered
