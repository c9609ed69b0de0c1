"""The parent's end of one pocketsphinx process: blocking calls, made in a thread."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import IO, cast

from xiaozhi.errors import ServiceError
from xiaozhi.services.asr import _sphinx_worker as worker


class Decoder:
    """A decoder process: started at first use, and again after it ended.

    All methods block and belong to one thread at a time, but `kill`, which is how the reactor
    ends a call that takes too long. They raise ServiceError, and then the process is gone.
    """

    # By its path and without its folder on the import path, which holds a pocketsphinx.py.
    command: Sequence[str] = (sys.executable, "-P", worker.__file__)

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process else None

    def begin(self) -> None:
        """Make sure that there is a process, its model loaded."""
        if self._killed:
            self.close()  # it may not have died yet
            self._killed = False
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        try:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise ServiceError("asr", f"no pocketsphinx process: {error.strerror}") from error
        if self._killed:  # while it was being made
            self._process.kill()
        self._answer()

    def feed(self, pcm: bytes) -> None:
        """Pass the next piece on; returns when it is decoded."""
        self._ask(worker.AUDIO, pcm)

    def finish(self) -> str:
        """End the utterance and return its text."""
        return self._ask(worker.FINISH).decode()

    def reset(self) -> None:
        """Give the utterance up."""
        self._ask(worker.RESET)

    def kill(self) -> None:
        """End the process at once, from any thread; a call under way raises. Never blocks."""
        self._killed = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                cast("IO[bytes]", pipe).close()
            except BrokenPipeError:  # the rest of an unfinished request
                continue

    def _ask(self, kind: bytes, body: bytes = b"") -> bytes:
        if self._process is None:
            raise ServiceError("asr", "pocketsphinx was not begun")
        try:
            worker.write(cast("IO[bytes]", self._process.stdin), kind, body)
        except OSError as error:
            self.close()
            raise ServiceError("asr", "the pocketsphinx process died") from error
        return self._answer()

    def _answer(self) -> bytes:
        assert self._process is not None
        try:
            kind, body = worker.read(cast("IO[bytes]", self._process.stdout))
        except (OSError, EOFError) as error:
            self.close()
            raise ServiceError("asr", "the pocketsphinx process died") from error
        if kind == worker.FAILED:
            self.close()
            raise ServiceError("asr", f"pocketsphinx: {body.decode(errors='replace')}")
        return body
