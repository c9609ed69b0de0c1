"""Where the lines of the log go: a terminal, or a file put aside by size and day.

Writing is a system call of some microseconds. Nothing here raises: a full disk costs lines of
the log, which are counted, and nothing else.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

DAY: Final = 86400.0
_TRIES: Final = 1000
"""Names tried for a file put aside on one day."""


class Terminal:
    """Writes to a stream."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`, as long as somebody reads it."""
        self.lost = 0
        """Lines that could not be written."""
        self._stream = stream

    def write(self, line: str) -> None:
        """Write a line at once."""
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more, or it is closed
            self.lost += 1


class File:
    """A file that lines are added to.

    At `max_size` bytes, and when a day (UTC) is over, it is put aside under the name of the day
    it was begun, and a new one made; those put aside are deleted after `keep_days`. Where
    that cannot be done, writing goes on in the same file.
    """

    def __init__(
        self,
        path: Path,
        max_size: int,
        keep_days: float,
        owner: tuple[int, int] = (-1, -1),
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open `path`, for the user and group `owner` (-1: who runs this); may raise OSError."""
        self.path = path
        self.lost = 0
        """Lines that could not be written."""
        self._max_size = max_size
        self._keep = keep_days * DAY
        self._owner = owner
        self._now = now
        self._lock = threading.Lock()
        self._torn = False
        """Whether only a part of the last line was written."""
        self._file = self._size = -1
        self._day = 0
        self._mode = 0
        """Who may read it: the next file is for them, too, whatever the umask is by then."""
        self._open()

    def write(self, line: str) -> None:
        """Add a line."""
        data = line.encode("utf-8", "backslashreplace")
        with self._lock:
            full = self._size and self._size + len(data) > self._max_size
            if full or _day(self._now()) != self._day:
                self._put_aside()
            try:
                self._add(data)
            except OSError:
                self.lost += 1

    def rotate(self) -> None:
        """Put the file aside now; one that somebody else has moved is only begun anew."""
        with self._lock:
            self._put_aside()

    def close(self) -> None:
        """Close the file; lines that still come are lost."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _add(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        written = os.write(self._file, data)
        self._size += written
        self._torn = written < len(data)  # the disk is full to the last byte
        self.lost += self._torn

    def _open(self) -> None:
        new = not self.path.exists()
        opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if new and self._owner != (-1, -1):
            os.fchown(opened, *self._owner)
        if new and self._mode:
            os.fchmod(opened, self._mode)
        status = os.fstat(opened)
        self._mode = status.st_mode & 0o777
        self._file, self._size = opened, status.st_size
        self._day = _day(status.st_mtime if status.st_size else self._now())

    def _put_aside(self) -> None:
        day, old = self._day, self._file
        # Whatever comes of it, it is not tried again with the next line.
        self._day, self._size = _day(self._now()), 0
        with suppress(OSError):
            if self.path.exists() and self.path.stat().st_size:
                self.path.rename(self._free_name(day))
            self._open()
            if old >= 0:
                os.close(old)
            self._tidy()

    def _free_name(self, day: int) -> Path:
        """Find a name for what was written since `day`."""
        stem = time.strftime("%Y-%m-%d", time.gmtime(day * DAY))
        for number in range(1, _TRIES):
            name = self.path.with_name(f"{self.path.name}.{stem}.{number}")
            if not name.exists():
                return name
        raise FileExistsError(stem)

    def _tidy(self) -> None:
        """Delete what was put aside long ago."""
        for path in self.path.parent.glob(f"{self.path.name}.????-??-??.*"):
            if path.stat().st_mtime < self._now() - self._keep:
                path.unlink()


def _day(seconds: float) -> int:
    return int(seconds // DAY)
