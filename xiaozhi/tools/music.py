"""Music from a folder, and radio from the internet; both are paused and skipped by voice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final

import attrs
from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError, Unavailable, missing
from xiaozhi.mistakes import Words, words
from xiaozhi.services import engine
from xiaozhi.services.fetching import Fetcher
from xiaozhi.services.http import address
from xiaozhi.services.pool import Workers
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._decoding import of_file
from xiaozhi.tools._library import Library, Track
from xiaozhi.tools._programme import Item, Programme
from xiaozhi.tools._stations import Radio
from xiaozhi.tools._words import said, text

LISTENERS: Final = 1000
"""Devices of which it is remembered what they played."""
ACTIONS: Final = ("pause", "resume", "next", "previous", "stop")


class Settings(engine.Settings, frozen=True):
    """Settings of music and radio."""

    folder: Annotated[
        str,
        Meta(description="Folder with music: MP3, FLAC, Ogg Vorbis, WAV. Empty: there is none."),
    ] = ""
    stations: Annotated[
        dict[str, str], Meta(description="Radio stations: a name, and the address of its MP3.")
    ] = {}
    directory_url: Annotated[
        str,
        Meta(
            description="Where other stations are looked up (radio-browser.info). Empty: nowhere."
        ),
    ] = "https://de1.api.radio-browser.info"
    timeout_s: Annotated[
        float, Meta(description="Seconds to wait for the directory.", gt=0, le=60)
    ] = 8.0

    def doubts(self) -> Sequence[Words]:
        """Tell that the folder is not there, and which stations can be none."""
        found = []
        if self.folder and not Path(self.folder).expanduser().is_dir():
            found.append(words("no_folder", place="tools.music.folder"))
        for name, url in self.stations.items():
            try:
                address(url, name)
            except Unavailable:
                found.append(words("odd_address", place=f"tools.music.stations.{name}"))
        return found


@attrs.frozen
class _Piece:
    """A track that can be played."""

    track: Track
    pool: Workers = attrs.field(repr=False)
    endless: bool = False

    @property
    def title(self) -> str:
        """The artist and the title."""
        return " - ".join(part for part in (self.track.artist, self.track.title) if part)

    def named(self, language: str) -> str:
        """Say what it is called."""
        artist, title = self.track.artist, self.track.title
        return said(
            language,
            f"{artist}的《{title}》" if artist else f"《{title}》",
            f"{title} by {artist}" if artist else title,
        )

    def sound(self, start: float) -> AsyncGenerator[bytes, None]:
        """Yield its sound from `start` (seconds) on."""
        return of_file(self.pool, self.track.path, start)


class Kit(Service):
    """The tools `play_music`, `play_radio` and `control_music`."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Raise Unavailable if a package is missing, or what is set cannot be."""
        for package in ("miniaudio", "tinytag"):
            if find_spec(package) is None:
                raise missing(package)
        self._pool = room.pool
        self._random = Random()
        self._programmes: OrderedDict[str, Programme] = OrderedDict()
        """What each device plays, or would if it went on."""
        self._library: Library | None = None
        if settings.folder:
            folder = Path(settings.folder).expanduser()
            if not folder.is_dir():
                raise Unavailable(f"{folder} is no folder", f"没有文件夹 {folder}")
            self._library = Library(room.reactor, room.pool, folder)
        for name, url in settings.stations.items():
            address(url, f"station {name!r}")
        directory = settings.directory_url
        if directory:
            directory = address(directory, "directory_url").rstrip("/")
        self._fetcher = Fetcher(room.reactor, room.pool, settings.timeout_s)
        self._radio = Radio(room.reactor, room.pool, self._fetcher, settings.stations, directory)
        self.tools: Sequence[Tool] = tuple(self._offered(settings))

    def startService(self) -> None:
        """Begin to look what music there is."""
        super().startService()
        if self._library is not None:
            work = Deferred.fromCoroutine(self._library.tracks())
            work.addErrback(
                Failure.trap, ServiceError, CancelledError
            )  # who wants to hear some is told

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        self._radio.stop()
        if self._library is not None:
            self._library.stop()
        return self._fetcher.stop()

    def _offered(self, settings: Settings) -> Sequence[Tool]:
        tools = []
        if self._library is not None:
            tools.append(Tool("play_music", _MUSIC, self._music, _MUSIC_SCHEMA, alone=True))
        if settings.stations or settings.directory_url:
            described = _RADIO
            if settings.stations:
                described += f" Stations: {', '.join(settings.stations)}."
            tools.append(Tool("play_radio", described, self._station, _RADIO_SCHEMA, alone=True))
        if tools:
            tools.append(
                Tool("control_music", _CONTROL, self._control, _CONTROL_SCHEMA, alone=True)
            )
        return tools

    async def _music(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        assert self._library is not None
        title, artist, folder = (text(arguments, name) for name in ("title", "artist", "folder"))
        found = list(await self._library.find(title, artist, folder))
        wanted = " ".join(part for part in (artist, title, folder) if part)
        if not found:
            return Outcome(
                f"there is no music like {wanted!r}" if wanted else "there is no music",
                said(
                    scene.language,
                    f"没有找到{wanted}。" if wanted else "还没有音乐。",
                    f"I cannot find {wanted}." if wanted else "There is no music yet.",
                ),
                failed=True,
            )
        if arguments.get("shuffle") is True or not wanted:
            self._random.shuffle(found)
        return self._play([_Piece(track, self._pool) for track in found], scene)

    async def _station(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        name = text(arguments, "station")
        found = await self._radio.find(name)
        if found:
            return self._play(found, scene)
        if not name:
            return Outcome(
                "no station was named: ask the user for one",
                said(scene.language, "你想听哪个电台？", "Which station would you like?"),
            )
        return Outcome(
            f"there is no station called {name!r}",
            said(
                scene.language,
                f"没有找到电台{name}。",
                f"I cannot find a station called {name}.",
            ),
            failed=True,
        )

    async def _control(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        action = text(arguments, "action")
        if action not in ACTIONS:
            raise ServiceError("tool", f"action must be one of {', '.join(ACTIONS)}")
        programme = self._programmes.get(scene.device)
        if programme is None:
            told = said(scene.language, "现在没有在放音乐。", "There is no music on.")
            if action == "stop":  # the alarm that rang, or the answer they have cut off
                told = said(scene.language, "好的。", "All right.")
            return Outcome(
                "nothing was played",
                told,
                final=True,
                failed=True,
            )
        # Whoever speaks has interrupted the music: it has stopped already.
        if action == "pause":
            return Outcome("paused", said(scene.language, "好，暂停了。", "Paused."), final=True)
        if action == "stop":
            del self._programmes[scene.device]
            return Outcome(
                "stopped", said(scene.language, "好，不放了。", "I stopped the music."), final=True
            )
        if action != "resume":
            programme.move(1 if action == "next" else -1)
        return self._begin(programme, scene)

    def _play(self, items: Sequence[Item], scene: Scene) -> Outcome:
        programme = self._programmes[scene.device] = Programme(items)
        self._programmes.move_to_end(scene.device)
        if len(self._programmes) > LISTENERS:
            self._programmes.popitem(last=False)
        return self._begin(programme, scene)

    def _begin(self, programme: Programme, scene: Scene) -> Outcome:
        """Have the device play from where its programme is."""
        scene.play(programme.clip())
        name = programme.item.named(scene.language)
        more = len(programme.items) - 1 - programme.index
        return Outcome(
            f"plays {programme.item.title!r} as soon as you have spoken, then {more} more",
            said(scene.language, f"好，播放{name}。", f"Playing {name}."),
            final=True,
        )


_MUSIC = (
    "Play music: a title, an artist, an album or folder, or anything if nothing is named. What is "
    "played next comes from the same artist or folder."
)
_MUSIC_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "A title, or what was said."},
        "artist": {"type": "string"},
        "folder": {"type": "string", "description": "An album or a folder."},
        "shuffle": {"type": "boolean", "description": "Play in any order."},
    },
}
_RADIO = "Play a radio station, by its name or by what it plays."
_RADIO_SCHEMA: Final = {
    "type": "object",
    "properties": {"station": {"type": "string", "description": "Leave it out for any station."}},
}
_CONTROL = "Pause, resume, skip or stop the music or the radio that this device plays."
_CONTROL_SCHEMA: Final = {
    "type": "object",
    "properties": {"action": {"type": "string", "enum": list(ACTIONS)}},
    "required": ["action"],
}
