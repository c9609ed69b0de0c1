"""Where model files come from: a package that carries them, or the model hub.

Everything here blocks and is called in a thread of its own (see `loader.py`). Only the public
parts of huggingface_hub that ask once are used, for names, headers and what a file should be:
its own download tries for half a minute before it believes that there is no network, and it
can be neither stopped nor given a deadline of ours.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import attrs

if TYPE_CHECKING:
    from huggingface_hub.file_download import HfFileMetadata

CONNECT = 4.0
"""Seconds the hub has to accept a connection, and then to say what a file is."""
STALL = 15.0
"""Seconds without a byte after which a transfer counts as broken."""
_RESUMPTIONS = 5
_CHUNK = 1 << 18


class WeightsError(Exception):
    """Model files cannot be had or used now; the reason, in both languages."""

    def __init__(self, english: str, chinese: str) -> None:
        """Take the reason as a few words of English and of Chinese."""
        super().__init__(english)
        self.chinese = chinese

    def text(self, language: str) -> str:
        """Give the reason in Chinese for "zh", in English for any other `language`."""
        return self.chinese if language == "zh" else str(self)


class Stopped(Exception):
    """The server is stopping; what has arrived is kept, to be resumed."""


class Carried(NamedTuple):
    """A file inside a Python package that may be installed."""

    package: str
    path: str


@attrs.frozen
class File:
    """One file of a model."""

    name: str
    """Its name in the model's folder."""
    path: str
    """Its path in the repository on the hub."""
    sha256: str = ""
    """Its checksum in hex; "" takes the one the hub tells, if it tells one."""
    required: bool = True
    parts: tuple[Carried, ...] = ()
    """Files of packages that, joined in order, are this file."""


@attrs.frozen
class Model:
    """A model that is known by name."""

    name: str
    """The name of its folder."""
    repository: str
    """"owner/name" on the hub."""
    files: tuple[File, ...]
    revision: str = "main"
    package: str = ""
    """What pip can install that carries it, if anything."""


class Fetch:
    """One attempt to have `model` as a folder in `store`."""

    def __init__(
        self,
        model: Model,
        store: Path,
        endpoint: str = "",
        advanced: Callable[[int, int], None] = lambda done, total: None,
        connect: float = CONNECT,
        stall: float = STALL,
    ) -> None:
        """Prepare; `advanced` is told bytes had and bytes in all, in the calling thread.

        `endpoint` is the address of a mirror of the hub; "" means the hub itself, or what
        the environment variable HF_ENDPOINT names.
        """
        self.stopped = threading.Event()
        self._model = model
        self._store = store
        self._endpoint = endpoint.rstrip("/") or None
        self._advanced = advanced
        self._connect = connect
        self._stall = stall
        self._done = 0
        self._total = 0

    def run(self) -> Path:
        """Return the folder, filled if it was not there; raise `WeightsError` or `Stopped`.

        The folder appears under its name only when all of it is there and checked. What a
        broken download leaves is in `NAME.part`, where the next attempt goes on.
        """
        folder = self._store / self._model.name
        if folder.is_dir():
            return folder
        part = folder.with_name(f"{folder.name}.part")
        try:
            part.mkdir(parents=True, exist_ok=True)
            if not self._join(part):
                self._download(part)
            part.rename(folder)
        except OSError as error:
            why = error.strerror or str(error)
            raise WeightsError(
                f"cannot write {folder}: {why}", f"无法写入 {folder}：{why}"
            ) from error
        return folder

    def _join(self, folder: Path) -> bool:
        """Make the files from installed packages; say whether all could be made."""
        sources = [[_installed(part) for part in file.parts] for file in self._model.files]
        for file, paths in zip(self._model.files, sources, strict=True):
            if file.required and (not paths or None in paths):
                return False
        for file, paths in zip(self._model.files, sources, strict=True):
            found = [path for path in paths if path is not None]
            if len(found) < max(1, len(file.parts)):
                continue
            digest = hashlib.sha256()
            rough = folder / f"{file.name}.joining"  # half of it must not pass for the file
            with rough.open("wb") as out:
                for chunk in _chunks(found):
                    self._check()
                    digest.update(chunk)
                    out.write(chunk)
            if file.sha256 and digest.hexdigest() != file.sha256:
                rough.unlink()
                return False
            rough.rename(folder / file.name)
        return True

    def _download(self, folder: Path) -> None:
        if importlib.util.find_spec("huggingface_hub") is None:
            raise WeightsError(
                "huggingface_hub is not installed: pip install huggingface-hub",
                "没有安装 huggingface_hub：pip install huggingface-hub",
            )
        wanted = [(file, self._ask(file)) for file in self._model.files]
        there = [(file, told) for file, told in wanted if told is not None]
        self._total = sum(told.size or 0 for _, told in there)
        for file, told in there:
            self._transfer(file, told, folder)

    def _ask(self, file: File) -> HfFileMetadata | None:
        """Ask the hub what a file is; None for one that need not exist and does not."""
        import httpx
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import EntryNotFoundError

        self._check()
        try:
            url = hf_hub_url(
                self._model.repository,
                file.path,
                revision=self._model.revision,
                endpoint=self._endpoint,
            )
            # The models are public: a mirror has no business with anybody's token.
            return get_hf_file_metadata(
                url, token=False, timeout=self._connect, endpoint=self._endpoint
            )
        except EntryNotFoundError as error:
            if not file.required:
                return None
            raise _unfit(self._model, error) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _unfit(self._model, error) from error

    def _transfer(self, file: File, told: HfFileMetadata, folder: Path) -> None:
        """Fetch one file, resuming as long as each connection brings something."""
        import httpx

        if (folder / file.name).exists():
            self._advance((folder / file.name).stat().st_size)
            return
        tag = re.sub(r"\W", "", told.etag or "")[:16]
        rough = folder / f"{file.name}.{tag}.incomplete"
        with rough.open("ab+") as out:
            digest = _digest(out)
            self._advance(out.tell())
            for attempt in range(_RESUMPTIONS):
                before = out.tell()
                try:
                    digest = self._receive(told, out, digest)
                    break
                except httpx.TransportError as error:
                    if out.tell() == before or attempt == _RESUMPTIONS - 1:
                        raise _unfit(self._model, error) from error
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise _unfit(self._model, error) from error
            arrived = out.tell()
        known = file.sha256 or (told.etag if re.fullmatch("[0-9a-f]{64}", told.etag or "") else "")
        if arrived != (told.size or arrived) or (known and digest.hexdigest() != known):
            rough.unlink()
            raise WeightsError(f"{file.name} arrived damaged", f"下载的 {file.name} 已损坏")
        os.replace(rough, folder / file.name)

    def _receive(self, told: HfFileMetadata, out: BinaryIO, digest: Any) -> Any:
        """Append what one connection brings to `out`; return the digest of the whole."""
        import httpx
        from huggingface_hub import get_session

        start = out.tell()
        if told.size is not None and start >= told.size:
            return digest
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        timeout = httpx.Timeout(self._stall, connect=self._connect)
        with get_session().stream("GET", told.location, headers=headers, timeout=timeout) as reply:
            reply.raise_for_status()
            if start and reply.status_code != httpx.codes.PARTIAL_CONTENT:
                out.truncate(0)  # the server ignored the range and begins anew
                self._advance(-start)
                digest = hashlib.sha256()
            for chunk in reply.iter_bytes(_CHUNK):
                self._check()
                out.write(chunk)
                digest.update(chunk)
                self._advance(len(chunk))
        return digest

    def _advance(self, count: int) -> None:
        self._done += count
        self._advanced(self._done, self._total)

    def _check(self) -> None:
        if self.stopped.is_set():
            raise Stopped


def _installed(part: Carried) -> Path | None:
    """Find a file of a package without importing the package."""
    spec = importlib.util.find_spec(part.package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / part.path).is_file():
            return Path(place) / part.path
    return None


def _chunks(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                yield chunk


def _digest(out: BinaryIO) -> Any:
    """Take the checksum of what is in the file, leaving it at its end."""
    out.seek(0)
    digest = hashlib.sha256()
    while chunk := out.read(_CHUNK):
        digest.update(chunk)
    return digest


def _unfit(model: Model, error: Exception) -> WeightsError:
    """Say in a few words what went wrong with the hub."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403, 404}:
        return WeightsError(
            f"the model hub has no {model.name} ({model.repository}, status {status})",
            f"模型站上没有 {model.name}（{model.repository}，状态 {status}）",
        )
    if status is not None:
        return WeightsError(f"the model hub answered {status}", f"模型站返回 {status}")
    return WeightsError(
        f"the model hub cannot be reached ({type(error).__name__})",
        f"连不上模型站（{type(error).__name__}）",
    )
