"""Prompts: what the server itself says, ready as Opus packets from the first second on.

A prompt is made by the best voice there is for its language, and made again when a better one
can: the voices are asked in order, now and then, for as long as the server runs. Until one of
them has answered, the last stands in, which is a voice that cannot fail. So a greeting needs no
synthesis, and an apology no voice that works.

What a voice has made is kept in a folder, a file for each prompt: 16 bytes of BLAKE2b of the
rest, then a `Prompt` in msgpack. The file's name is a hash of who made it, with which settings,
and of what is said. So a changed voice makes its own, and the old ones go as the unused do.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from hashlib import blake2b
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final, NamedTuple

import attrs
import msgspec
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import languages
from xiaozhi.errors import ServiceError
from xiaozhi.services.pool import Workers

PATIENCE: Final = 30.0
"""Seconds a voice has for a prompt."""
LARGEST: Final = 100_000
"""Bytes of Opus in a prompt: half a minute, at the usual bitrate."""
AGAIN: Final = (2.0, 600.0)
"""Seconds until better voices are asked again: the first time, and at most; each time double."""
_SEAL: Final = 16


class Line(NamedTuple):
    """What is to be said, in its language (a primary subtag)."""

    text: str
    language: str


@attrs.frozen
class Maker:
    """A voice, as prompts are made with it."""

    signature: str
    """Names the voice, its settings and the format of its packets; only a hash of it is kept."""
    languages: Callable[[], Collection[str]]
    """Tells the languages it can do by now; none while it does not know yet."""
    speak: Callable[[str, str], AsyncGenerator[bytes, None]]
    """Yields the packets of a text in a language; raises ServiceError."""
    lasting: bool = True
    """Whether what it makes is worth a file."""

    def could(self, language: str) -> bool:
        """Say whether it does `language`, or may turn out to."""
        able = self.languages()
        return not able or languages.can(able, {language})


class Prompt(msgspec.Struct, frozen=True):
    """A prompt in its file."""

    text: str
    language: str
    packets: tuple[bytes, ...]


class Shelf:
    """The folder of prompts. Everything here blocks, and belongs into a thread."""

    def __init__(self, folder: Path, files: int = 200, size: int = 8_000_000) -> None:
        """Keep at most `files` of them, of `size` bytes together; those not used longest go."""
        self._folder = folder
        self._files = files
        self._size = size

    def find(self, signatures: Sequence[str], line: Line) -> dict[str, tuple[bytes, ...]]:
        """Give the packets of the first maker that has made the prompt, by its signature.

        Raises OSError; ValueError when a file is damaged, which is gone then.
        """
        for signature in signatures:
            path = self._path(signature, line)
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            if (prompt := _opened(data)) is None:
                path.unlink(missing_ok=True)
                raise ValueError(f"{path} is damaged")
            os.utime(path)  # the time of its last use
            return {signature: prompt.packets}
        return {}

    def keep(self, signature: str, line: Line, packets: tuple[bytes, ...]) -> None:
        """Write the prompt, whole or not at all. Raises OSError."""
        body = msgspec.msgpack.encode(Prompt(line.text, line.language, packets))
        self._folder.mkdir(mode=0o750, exist_ok=True)
        handle, unfinished = mkstemp(dir=self._folder, suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_seal(body) + body)
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(self._path(signature, line))
        except OSError:
            Path(unfinished).unlink(missing_ok=True)
            raise
        self._make_room()

    def _path(self, signature: str, line: Line) -> Path:
        named = msgspec.json.encode((signature, line.language, line.text))
        return self._folder / f"{blake2b(named, digest_size=20).hexdigest()}.prompt"

    def _make_room(self) -> None:
        """Throw away what is too much; a file left unfinished by a crash grows old as well."""
        found = [(path, path.stat()) for path in self._folder.iterdir()]
        found.sort(key=lambda entry: entry[1].st_mtime, reverse=True)
        count = total = 0
        for path, status in found:
            if count < self._files and total + status.st_size <= self._size:
                count, total = count + 1, total + status.st_size
            else:
                path.unlink(missing_ok=True)


def _seal(body: bytes) -> bytes:
    return blake2b(body, digest_size=_SEAL).digest()


def _opened(data: bytes) -> Prompt | None:
    """Read a file's content; None if it is not as it was written."""
    seal, body = data[:_SEAL], data[_SEAL:]
    if seal != _seal(body):
        return None
    try:
        return msgspec.msgpack.decode(body, type=Prompt)
    except msgspec.DecodeError:
        return None


@attrs.frozen
class _Held:
    """A prompt in memory."""

    packets: tuple[bytes, ...]
    rank: int
    """Its maker's place among the makers; 0 is the best."""


class Prompts(Service):
    """The prompts in memory, made and kept in the background, one at a time."""

    log = Logger()

    def __init__(
        self,
        makers: Sequence[Maker],
        lines: Sequence[Line],
        shelf: Shelf,
        workers: Workers,
        clock: Any,
    ) -> None:
        """Have `lines` ready, the first soonest, made by the first of `makers` that can.

        The last of the makers is asked before the others, for what there is nothing of yet.
        """
        self._makers = tuple(makers)
        self._lines = tuple(lines)
        self._shelf = shelf
        self._workers = workers
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._work: Deferred[None] = succeed(None)
        self._complained = False

    def get(self, text: str) -> Sequence[bytes]:
        """Give the packets of `text`, of an encoder of their own; none if there are none."""
        held = self._held.get(text)
        return held.packets if held else ()

    def startService(self) -> None:
        """Begin to read, and to make, what is missing."""
        super().startService()
        self._work = Deferred.fromCoroutine(self._keep_up())
        self._work.addErrback(self._ended)

    def stopService(self) -> Deferred[None]:
        """Give up what is being made, and wait until its voice has been told."""
        super().stopService()
        self._work.cancel()
        return self._work

    def _ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("Prompts are no longer made", failure)

    async def _keep_up(self) -> None:
        for line in self._lines:
            if line.text not in self._held and not await self._recall(line) and self._makers:
                await self._make(len(self._makers) - 1, line)
        delay, longest = AGAIN
        while True:
            await self._improve()
            # For ever: a voice may be loaded, or in reach again, at any time.
            await deferLater(self._clock, delay)
            delay = min(2 * delay, longest)

    async def _improve(self) -> None:
        """Have what is held made by better voices, if they can."""
        failing: set[int] = set()
        for line in self._lines:
            held = self._held.get(line.text)
            for rank in range(held.rank if held else len(self._makers)):
                if rank in failing or not self._makers[rank].could(line.language):
                    continue
                if await self._make(rank, line):
                    break
                failing.add(rank)

    async def _make(self, rank: int, line: Line) -> bool:
        """Say whether the prompt could be made; the voice's own list says why it could not."""
        maker = self._makers[rank]
        making = Deferred.fromCoroutine(_collect(maker.speak(line.text, line.language)))
        making.addTimeout(PATIENCE, self._clock)
        try:
            packets = await making
        except (ServiceError, TimedOut):
            return False
        if not packets:
            return False
        self._held[line.text] = _Held(packets, rank)
        if maker.lasting:
            await self._at_the_shelf(self._shelf.keep, maker.signature, line, packets)
        return True

    async def _recall(self, line: Line) -> bool:
        """Say whether the prompt was in the folder."""
        signatures = [maker.signature for maker in self._makers if maker.lasting]
        found = await self._at_the_shelf(self._shelf.find, signatures, line)
        for signature, packets in (found or {}).items():
            self._held[line.text] = _Held(packets, signatures.index(signature))
        return bool(found)

    async def _at_the_shelf(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do it in a thread; None if it fails, which is said the first time."""
        try:
            return await self._workers.run(work, *args)
        except (OSError, ValueError, ServiceError) as error:
            if not self._complained:
                self._complained = True
                self.log.warn("A prompt is not kept or made anew: {why}", why=error)
            return None


async def _collect(packets: AsyncGenerator[bytes, None]) -> tuple[bytes, ...]:
    """Read a whole prompt; ServiceError if it is too large to be one."""
    found: list[bytes] = []
    size = 0
    async with aclosing(packets):
        async for packet in packets:
            found.append(packet)
            size += len(packet)
            if size > LARGEST:
                raise ServiceError("tts", "too long for a prompt")
    return tuple(found)
