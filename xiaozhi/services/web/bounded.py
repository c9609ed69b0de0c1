"""Requests whose bodies have an end. Twisted would keep anything in a file until it is whole."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from twisted.web.server import Request

from xiaozhi.services.web.answering import refusal

LONGEST: Final = 65536
"""Bytes of a body; devices send about two thousand."""


class BoundedRequest(Request):
    """A request that is ended with 413 once its body is longer than `LONGEST`."""

    channel: Any
    content: Any
    _ended = False

    def gotLength(self, length: int | None) -> None:
        """Hear how long the body will be; None if in chunks."""
        super().gotLength(length)
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

    def _measure(self, length: int) -> None:
        if length <= LONGEST or self._ended:
            return
        self._ended = True
        told = refusal(413, f"the body is longer than {LONGEST} bytes")
        body = msgspec.json.encode(told.content)
        self.channel.transport.write(
            b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        self.channel.loseConnection()
