"""The configuration: where the file is, and what it says, checked as a whole."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from xiaozhi import manual, mcpfile, yamltext
from xiaozhi.choosing import Choosing
from xiaozhi.errors import ConfigError
from xiaozhi.mistakes import Words, words
from xiaozhi.reading import Problem
from xiaozhi.settings import Config

_LIMIT = 1 << 18
"""Longest file read, in bytes."""


def locate(
    given: str | None,
    environ: Mapping[str, str],
    cwd: Path,
    system: Path = Path("/etc/xiaozhi.yaml"),
) -> Path | None:
    """Find the file, None for the packaged defaults; raises ConfigError if a named one is missing.

    `given` is the name on the command line; relative names start at `cwd`.
    """
    for name, origin in ((given, "--config"), (environ.get("XIAOZHI_CONFIG"), "$XIAOZHI_CONFIG")):
        if name:
            path = cwd / name
            if not os.path.exists(path):
                what = words("missing", origin=origin)
                raise ConfigError([words("place", place=path, what=what)])
            return path
    usual = (cwd / manual.FILE, system)
    return next((path for path in usual if os.path.exists(path)), None)


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file at `path` (None: the defaults); raises ConfigError with all that is wrong."""
    reading = Choosing(environ)
    config = None
    try:
        root = yamltext.compose(_text(path)) if path else None
        config = reading.struct(Config, root, "", None)
    except yamltext.Wrong as wrong:
        reading.wrong(wrong.line, "", wrong.why)
    if not isinstance(config, Config):
        found = sorted(reading.problems, key=lambda problem: problem.line or math.inf)
        raise ConfigError([_told(path, problem) for problem in found])
    base = path.absolute().parent if path else Path.cwd()
    mcp = mcpfile.with_file(config.mcp, base, config.state_path(environ), environ)
    return msgspec.structs.replace(config, mcp=mcp)


def _told(path: Path | None, problem: Problem) -> Words:
    place = str(path or "defaults") + (f":{problem.line}" if problem.line else "")
    place += f": {problem.key}" if problem.key else ""
    return words("place", place=place, what=problem.what)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise yamltext.Wrong(None, words("unreadable", why=error.strerror)) from None
    if len(data) > _LIMIT:
        raise yamltext.Wrong(None, words("too_long", limit=_LIMIT >> 10))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise yamltext.Wrong(line, words("not_utf8")) from None
