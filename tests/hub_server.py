"""A model hub on loopback: its download addresses, as the hub's own client uses them."""

from __future__ import annotations

import hashlib
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(Resource):
    """Serves `files` of repositories, and misbehaves as it is told to.

    HEAD /OWNER/NAME/resolve/main/PATH tells what a file is: directly for a small one, for a
    large one with a redirection to the store, where GET with or without a Range fetches it.
    """

    isLeaf = True
    large = 1000
    """Bytes from which a file is kept in the store, named by its sha256."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        """Contents by "OWNER/NAME/PATH"."""
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and Range of every request."""
        self.breaks: list[int] = []
        """For each coming answer from the store: bytes after which the connection is cut."""
        self.stalls_after: int | None = None
        """Bytes after which every answer from the store stops, and the connection stays."""
        self.silent = False
        """Whether requests are taken and never answered."""
        self.corrupt = False
        """Whether the store sends other bytes than it should."""
        self._reactor: Any = reactor
        self._port: Any = None
        self._waiting: dict[Request, Deferred[None]] = {}

    def start(self) -> str:
        """Listen; return the address to give as the hub's."""
        self._port = self._reactor.listenTCP(0, Site(self), interface="127.0.0.1")
        return self.address

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port.getHost().port}"

    async def stop(self) -> None:
        """Hang up on everybody and stop listening."""
        await maybeDeferred(self._port.stopListening)
        for request in self._waiting:
            _hang_up(request)
        await gatherResults(list(self._waiting.values()))

    def render(self, request: Request) -> bytes | int:
        path = request.path.decode()
        span = (request.getHeader("range") or "").removeprefix("bytes=")
        self.asked.append((request.method.decode(), path, span))
        request.setHeader("Connection", "close")
        if self.silent:
            return self._keep(request)
        if path.startswith("/store/"):
            digest = path.removeprefix("/store/")
            for content in self.files.values():
                if hashlib.sha256(content).hexdigest() == digest:
                    return self._store(request, content, span)
        repository, _, name = path.strip("/").partition("/resolve/main/")
        if not any(known.startswith(f"{repository}/") for known in self.files):
            return self._refuse(request, 401, "RepoNotFound")
        if f"{repository}/{name}" not in self.files:
            return self._refuse(request, 404, "EntryNotFound")
        return self._tell(request, self.files[f"{repository}/{name}"])

    def _tell(self, request: Request, content: bytes) -> bytes:
        request.setHeader("X-Repo-Commit", COMMIT)
        if len(content) < self.large:
            request.setHeader("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            request.setHeader("Content-Length", str(len(content)))
            return b"" if request.method == b"HEAD" else content
        digest = hashlib.sha256(content).hexdigest()
        request.setHeader("X-Linked-Etag", f'"{digest}"')
        request.setHeader("X-Linked-Size", str(len(content)))
        request.setResponseCode(302)
        request.setHeader("Location", f"{self.address}/store/{digest}")
        return b""

    def _store(self, request: Request, content: bytes, span: str) -> bytes | int:
        start = int(span.removesuffix("-") or 0)
        rest = content[start:]
        if self.corrupt:
            rest = rest[::-1]
        request.setHeader("Content-Length", str(len(rest)))
        if span:
            request.setResponseCode(206)
            request.setHeader("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.breaks:
            request.write(rest[: self.breaks.pop(0)])
            _hang_up(request)
            return self._keep(request)
        if self.stalls_after is not None:
            request.write(rest[: max(0, self.stalls_after - start)])
            return self._keep(request)
        return rest

    def _refuse(self, request: Request, status: int, code: str) -> bytes:
        request.setResponseCode(status)
        request.setHeader("X-Error-Code", code)
        return b""

    def _keep(self, request: Request) -> int:
        def gone(failure: Failure) -> None:
            failure.trap(ConnectionDone, ConnectionLost)

        ended: Deferred[None] = request.notifyFinish()
        self._waiting[request] = ended.addErrback(gone)
        return NOT_DONE_YET


def _hang_up(request: Request) -> None:
    channel: Any = request.channel
    if channel is not None:
        # The channel's own loseConnection leaves a connection open whose buffer was full.
        channel.transport.unregisterProducer()
        channel.transport.loseConnection()


def folder(case: SynchronousTestCase) -> Path:
    """Make a folder for weights that is gone after the test."""
    made = Path(tempfile.mkdtemp())
    case.addCleanup(shutil.rmtree, made)
    return made


def nobody() -> str:
    """Make an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


class BlackHole:
    """An address that packets to go nowhere: its queue of connections is full."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._server.getsockname())
            self._fillers.append(filler)
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def close(self) -> None:
        for each in (*self._fillers, self._server):
            each.close()
