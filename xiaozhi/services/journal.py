"""Memories of sessions, on their way into the store: in a file at once, moved in the background.

A session that ends is written to `<state>/journal` by one write of one line, before its device
is told goodbye. From then on it survives the death of the process at any moment (not of the
machine: nothing waits for the disk). A file is moved into the store line by line and then
deleted; one that was moved in part is moved again, which changes nothing, since the store knows
each session by its id. What a process left behind is moved by the next one, by the same code.

The journal is bounded: when the store does not answer for long, what does not fit is refused
and said.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from xiaozhi.errors import ServiceError
from xiaozhi.services.counters import Counters
from xiaozhi.services.store.records import SessionMemory

PAGE: Final = 256 * 1024
"""Bytes after which a new file is begun: what is read, decoded and moved at a time."""
PAGES: Final = 128
"""Files there may be."""
LONGEST: Final = PAGE
"""Bytes of one memory."""
_WAITS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between attempts while the store takes nothing of what it is given."""
_ENOUGH: Final = 3
"""Failures in a row after which the store is left alone for a while."""


class Memory(Protocol):
    """What is needed of the store."""

    def remember(self, memory: SessionMemory) -> Deferred[None]:
        """Keep a memory for good, once, however often it is given; fails with ServiceError."""


class Journal(Service):
    """Keep memories until the store has them."""

    log = Logger()

    def __init__(self, folder: Path, store: Memory, counters: Counters, clock: Any) -> None:
        """Write to `folder`, which is made if need be, and move what is there to `store`."""
        self._folder = folder
        self._store = store
        self._counters = counters
        self._clock = clock
        self._pages: deque[Path] = deque()
        """The files there are, oldest first; the last one may still be written to."""
        self._number = 0
        self._open: int | None = None
        """The descriptor of the last file, while it is written to."""
        self._size = 0
        self._moving: Deferred[None] | None = None
        self._futile = 0
        """How many times in a row nothing at all could be moved."""
        self._waiting: list[Deferred[None]] = []
        self.stored: Callable[[], object] = lambda: None
        """Called when the store has got more."""

    # -- in --

    def add(self, memory: SessionMemory) -> None:
        """Write a memory down at once, and have it moved."""
        line = msgspec.json.encode(memory) + b"\n"
        try:
            if len(line) > LONGEST:
                raise OSError("it is too long")
            self._append(line)
        except OSError as error:
            self._counters.count("memories_lost")
            self.log.error(
                "what was said in {session} is not remembered: {error}",
                session=memory.session_id,
                error=error.strerror or error,
            )
            return
        if self.running:
            self._move()
        else:
            self._seal()

    def _append(self, line: bytes) -> None:
        if self._open is not None and self._size + len(line) > PAGE:
            self._seal()
        if self._open is None:
            if len(self._pages) >= PAGES:
                raise OSError("the journal is full, since the store takes nothing")
            self._number += 1
            page = self._folder / f"{self._number:012d}.jsonl"
            self._open = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            self._pages.append(page)
            self._size = 0
        written = os.write(self._open, line)
        self._size += written
        if written < len(line):
            self._seal()  # the torn line ends its file, and damages no other
            raise OSError("the disk is full")

    def _seal(self) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None

    # -- out --

    def startService(self) -> None:
        """Begin with what an earlier process left behind."""
        super().startService()
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._pages.extend(sorted(self._folder.glob(f"{'[0-9]' * 12}.jsonl")))
        if self._pages:
            self._number = int(self._pages[-1].stem)
            self.log.info("journal: {count} files left to be stored", count=len(self._pages))
            self._move()

    def stopService(self) -> None:
        """Stop moving. What is not moved stays written, for the next start."""
        super().stopService()
        if self._moving is not None:
            self._moving.cancel()
        self._seal()

    def moved(self) -> Deferred[None]:
        """Wait until the store has all there is, or takes nothing."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if self._moving is None or self._futile:
            self._tell()
        return waiter

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)

    def _move(self) -> None:
        if self._moving is None:
            moving = self._moving = Deferred.fromCoroutine(self._move_all())
            moving.addErrback(lambda failure: failure.trap(CancelledError))
            moving.addErrback(lambda failure: self.log.failure("journal: our fault", failure))
            moving.addBoth(self._moved)

    def _moved(self, _: object) -> None:
        self._moving = None
        self._futile = 0
        self._tell()

    async def _move_all(self) -> None:
        """Move all there is; after a round in which nothing could be moved, wait."""
        while self._pages:
            # At first just until whoever closes a session is done.
            await deferLater(self._clock, _WAITS[min(self._futile, len(_WAITS) - 1)])
            moved = False
            for _ in range(len(self._pages)):
                self._seal()  # so that nothing is added to what is read
                page = self._pages[0]
                error = await self._move_page(page)
                if error is None:
                    self._pages.popleft()
                    page.unlink(missing_ok=True)
                    moved = True
                    self.stored()
                else:
                    self._seal()
                    self._pages.rotate(-1)
                    if not self._futile:
                        self.log.warn("journal: {page}: {error}", page=page.name, error=error)
            self._futile = 0 if moved else self._futile + 1
            if not moved:
                self._tell()

    async def _move_page(self, page: Path) -> ServiceError | OSError | None:
        """Store what a page has; tell what kept some of it from being stored, if anything did."""
        failed = None
        in_a_row = 0
        try:
            for memory in self._read(page):
                try:
                    await self._store.remember(memory)
                    in_a_row = 0
                except ServiceError as error:
                    failed = error
                    in_a_row += 1
                if in_a_row == _ENOUGH:
                    break
        except OSError as error:
            return error
        return failed

    def _read(self, page: Path) -> Iterator[SessionMemory]:
        damaged = 0
        for line in page.read_bytes().splitlines():
            try:
                yield _DECODER.decode(line)
            except msgspec.DecodeError:
                damaged += 1
        if damaged:
            self.log.error(
                "journal: {count} damaged lines of {page} are skipped",
                count=damaged,
                page=page.name,
            )


_DECODER: Final = msgspec.json.Decoder(SessionMemory)
