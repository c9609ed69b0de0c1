"""What an engine is, and how one is found by its name.

An engine is a module `xiaozhi/services/<kind>/<name>.py` (or an entry point of the group
`xiaozhi.<kind>`) with a frozen `Settings` and one class, named after its kind: `Detector`,
`Recogniser`, `Model`, `Speaker` or `Memory`. It needs no base class. Importing the module must be
cheap: what the engine depends on is imported when the engine is made, and if that is missing
the constructor raises `Unavailable` with what to install. An engine with a life of its own
(processes, a model in memory) is a Twisted `Service` as well; its list starts and stops it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import attrs
import msgspec

from xiaozhi.errors import Unavailable
from xiaozhi.mistakes import Words
from xiaozhi.services.pool import Workers

KINDS = {
    "vad": "Detector",
    "asr": "Recogniser",
    "llm": "Model",
    "tts": "Speaker",
    "memory": "Memory",
    "tools": "Kit",
}
"""The kinds of engine, and the name of the class each module of the kind has. Those of tools are
no list to choose from: all of them are made (see `xiaozhi.tools`)."""

_ELSEWHERE = {"tools": "xiaozhi.tools"}
"""Where those of a kind are, if not among the services."""


def package(kind: str) -> str:
    """Tell the package that has the engines of `kind`."""
    return _ELSEWHERE.get(kind, f"xiaozhi.services.{kind}")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every engine's settings: frozen, checked, refusing unknown keys."""

    def doubts(self) -> Sequence[Words]:
        """Tell what is not there that they name, and that the server can do without."""
        return ()


@attrs.frozen
class Workshop:
    """What an engine may use of the house."""

    reactor: Any
    """The reactor, or a clock in tests."""
    pool: Workers
    """Threads for blocking work, shared by the engines of one kind."""
    state: Path
    """A folder of the server's for weights and the like; it exists."""
    language: str
    """The server's language, as a primary subtag: "zh", "en"."""


def installed(kind: str) -> Sequence[str]:
    """Tell the names of what others have added of a `kind`; this looks at files."""
    found = importlib.metadata.entry_points(group=f"xiaozhi.{kind}")
    return sorted({entry.name for entry in found})


class EngineModule(Protocol):
    """What `load` returns: a module with `Settings` and the class of its kind."""

    Settings: type[Settings]


def load(kind: str, name: str) -> ModuleType:
    """Import the engine `name` of `kind`; raise `Unavailable` if there is none, or why it fails."""
    path = f"{package(kind)}.{name}"
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise Unavailable(
                f"{kind} engine {name!r} needs the package {error.name!r}",
                f"{kind} 引擎 {name!r} 需要安装 {error.name!r}",
            ) from error
    for entry in importlib.metadata.entry_points(group=f"xiaozhi.{kind}"):
        if entry.name == name:
            try:
                module: ModuleType = entry.load()
            except (ImportError, AttributeError) as error:
                raise Unavailable(
                    f"{kind} engine {name!r} cannot be loaded: {error}",
                    f"{kind} 引擎 {name!r} 无法加载：{error}",
                ) from error
            return module
    if kind in _ELSEWHERE:
        raise Unavailable(f"there is no tool called {name!r}", f"没有名为 {name!r} 的工具")
    raise Unavailable(
        f"there is no {kind} engine called {name!r}", f"没有名为 {name!r} 的 {kind} 引擎"
    )


def make(kind: str, name: str, settings: Settings, workshop: Workshop) -> Any:
    """Make the engine; raise `Unavailable` with what it lacks."""
    return getattr(load(kind, name), KINDS[kind])(settings, workshop)
