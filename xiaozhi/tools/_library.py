"""A folder of music: what is in it, and which of it somebody means."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from xiaozhi.errors import ServiceError
from xiaozhi.services.kept import Kept
from xiaozhi.services.pool import Workers
from xiaozhi.tools._decoding import KINDS
from xiaozhi.tools._matching import best, ranked

MOST: Final = 10_000
"""Files that are looked at."""
FRESH: Final = 20.0
"""Seconds for which the folder is taken to be as it was."""
_SURE: Final = 0.75
"""The likeness at which a name is taken for an artist's or a folder's."""


@attrs.frozen
class Track:
    """A piece of music."""

    path: Path
    title: str
    artist: str = ""
    album: str = ""
    folder: str = ""
    """The folder it is in, "" for the top."""

    def names(self) -> Iterator[str]:
        """Yield what somebody may call it."""
        yield self.title
        if self.artist:
            yield f"{self.artist}{self.title}"
            yield f"{self.title} by {self.artist}"


class Library:
    """Knows the tracks in a folder, and looks again when they may have changed."""

    def __init__(self, clock: Any, pool: Workers, folder: Path) -> None:
        """Look into `folder` when it is needed."""
        self._pool = pool
        self._folder = folder
        self._read: dict[tuple[str, int, int], Track] = {}
        """By path, time of change and size, so that each file is opened once."""
        self._known: Kept[Sequence[Track]] = Kept(clock, FRESH)

    async def tracks(self) -> Sequence[Track]:
        """Tell all tracks, in the order of their paths; raise ServiceError."""

        async def look() -> Sequence[Track]:
            self._read = await self._pool.run(_scanned, self._folder, self._read)
            return list(self._read.values())

        return (await self._known.get("", look)).value

    async def find(self, title: str, artist: str, folder: str) -> Sequence[Track]:
        """Find what is meant: the best first, then what goes on from there."""
        return await self._pool.run(chosen, await self.tracks(), title, artist, folder)

    def stop(self) -> None:
        """Stop looking."""
        self._known.stop()


def chosen(
    tracks: Sequence[Track], title: str = "", artist: str = "", folder: str = ""
) -> Sequence[Track]:
    """Choose the tracks that are meant, the likest first: all if nothing is named.

    One that is named is followed by the rest of its artist's, or of its folder.
    """
    if folder:
        tracks = _of(folder, tracks, ("folder", "album"))
    if artist:
        tracks = _of(artist, tracks, ("artist",))
    if not title or not tracks:
        return tracks
    found = ranked(title, ((name, track) for track in tracks for name in track.names()))
    if not found or found[0][0] < _SURE:  # "some Mozart" may be anything
        if others := _of(title, tracks, ("artist", "album", "folder")):
            return others
        if not found:
            return ()
    first = found[0][1]
    rest = [
        track
        for track in tracks
        if track is not first
        and ((track.artist == first.artist) if first.artist else (track.folder == first.folder))
    ]
    return [first, *rest]


def _of(wanted: str, tracks: Sequence[Track], fields: Sequence[str]) -> Sequence[Track]:
    """Tell the tracks of the artist, album or folder that is `wanted`."""
    names = {(field, getattr(track, field)) for track in tracks for field in fields}
    named = [(name[1], name) for name in sorted(names) if name[1]]
    match = best(wanted, named, _SURE)
    return [track for track in tracks if match and getattr(track, match[0]) == match[1]]


def _scanned(
    folder: Path, known: dict[tuple[str, int, int], Track]
) -> dict[tuple[str, int, int], Track]:
    """Look through the folder: for a thread. Links to folders are not followed."""
    if not folder.is_dir():
        raise ServiceError("tool", "the folder of music is not there")
    found: dict[tuple[str, int, int], Track] = {}
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix.lower() not in KINDS or name.startswith("."):
                continue
            try:
                status = path.stat()
            except OSError:  # gone in the meantime, or a link to nowhere
                continue
            key = (str(path), status.st_mtime_ns, status.st_size)
            found[key] = known.get(key) or _track(folder, path)
            if len(found) >= MOST:
                return found
    return found


def _track(folder: Path, path: Path) -> Track:
    """Read what a file says about itself, else what its name says: "artist - title"."""
    from tinytag import TinyTag, TinyTagException

    try:
        tags = TinyTag.get(path, duration=False)
    except (TinyTagException, OSError):
        tags = TinyTag()
    artist, dash, title = path.stem.partition(" - ")
    within = path.parent.relative_to(folder)
    return Track(
        path,
        (tags.title or "").strip() or (title if dash else path.stem).strip(),
        (tags.artist or "").strip() or (artist.strip() if dash else ""),
        (tags.album or "").strip(),
        within.name,
    )
