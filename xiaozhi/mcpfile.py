"""MCP servers out of a JSON file, as other programs have it: `mcpServers`, a name for each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from xiaozhi.errors import ConfigError
from xiaozhi.mistakes import Mistake, Said, why, words
from xiaozhi.reading import expand
from xiaozhi.services.mcp.settings import Mcp, Server

USUAL: Final = "mcp.json"
"""Its name in the state folder."""

_LIMIT: Final = 1 << 20
_TOPS: Final = ("mcpServers", "servers")
_KEPT: Final = ("command", "args", "env", "cwd", "url", "headers", "tools", "enabled")
_SPOKEN: Final = {
    "stdio": "stdio",
    "sse": "sse",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamablehttp": "http",
}
_OF_EDITOR = re.compile(r"\$\{env:([A-Za-z_]\w*)\}", re.ASCII)
_KINDS: Final = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "nothing",
    "object": "a mapping",
    "str": "text",
}
_WHERE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)


def with_file(settings: Mcp, base: Path, state: Path, environ: Mapping[str, str]) -> Mcp:
    """Give the `settings` with the servers of their file, if there is one, after their own.

    `base` is where a relative name of the file starts. Raises ConfigError with all that is wrong.
    """
    path = base / settings.file if settings.file else state / USUAL
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except FileNotFoundError:
        if not settings.file:
            return settings
        raise _wrong(path, words("missing", origin="mcp.file")) from None
    except OSError as error:
        raise _wrong(path, words("unreadable", why=error.strerror)) from None
    if len(data) > _LIMIT:
        raise _wrong(path, words("too_long", limit=_LIMIT >> 10))
    found = _servers(path, data, environ)
    return msgspec.structs.replace(settings, servers=dict(settings.servers) | {
        name: server for name, server in found.items() if name not in settings.servers
    })  # fmt: skip


def _servers(path: Path, data: bytes, environ: Mapping[str, str]) -> dict[str, Server]:
    """Read the servers of a file."""
    try:
        told = json.loads(data)
    except json.JSONDecodeError as error:
        raise _wrong(f"{path}:{error.lineno}", words("not_json", why=error.msg)) from None
    except (UnicodeDecodeError, RecursionError):
        raise _wrong(path, words("not_json", why="?")) from None
    top = next((top for top in _TOPS if isinstance(told, dict) and top in told), None)
    if top is None or not isinstance(told[top], dict):
        raise _wrong(path, words("no_servers"))
    servers: dict[str, Server] = {}
    problems: list[Said] = []
    for name, entry in told[top].items():
        try:
            servers[name] = _server(entry, environ)
        except ValueError as error:  # of msgspec, too
            place, what = _place(error)
            key = ".".join((top, name, *place))
            problems.append(words("place", place=f"{path}: {key}", what=what))
    if problems:
        raise ConfigError(problems)
    return servers


def _server(entry: Any, environ: Mapping[str, str]) -> Server:
    """Make one; raises ValueError. What other programs have beside is not looked at."""
    if not isinstance(entry, dict):
        raise Mistake("no_mapping_here")
    wanted = {key: _filled(entry[key], environ) for key in _KEPT if entry.get(key) is not None}
    if entry.get("disabled") is True:
        wanted["enabled"] = False
    for key in ("transport", "transportType", "type"):
        if isinstance(spoken := entry.get(key), str):
            if spoken.lower() not in _SPOKEN:
                raise Mistake("no_transport", name=key)
            wanted["transport"] = _SPOKEN[spoken.lower()]
            break
    for key in ("timeout_s", "timeout"):
        seconds = entry.get(key)
        if isinstance(seconds, int | float) and 1 <= seconds <= 600:  # elsewhere milliseconds
            wanted["timeout_s"] = seconds
            break
    return msgspec.convert(wanted, Server)


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    """Put the environment in the place of `${NAME}`, and of `${env:NAME}` as editors write it."""
    if isinstance(value, str):
        return expand(_OF_EDITOR.sub(r"${\1}", value), environ)
    if isinstance(value, list):
        return [_filled(item, environ) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, environ) for name, item in value.items()}
    return value


def _place(error: ValueError) -> tuple[list[str], Said]:
    """Tell where msgspec says that something is wrong, and what."""
    match = _WHERE.fullmatch(str(error))
    if match is None:
        cause = error.__cause__  # msgspec wraps what a class refuses
        return [], cause if isinstance(cause, Mistake) else why(error)
    what = re.sub(r"`(\w+)`", lambda kind: _KINDS.get(kind[1], kind[1]), match[1])
    place = [match[2]] if match[2] else []
    return place, words("other", why=what[:1].lower() + what[1:])


def _wrong(place: object, what: Said) -> ConfigError:
    return ConfigError([words("place", place=place, what=what)])
