"""The bridges that others connect their MCP servers with, as they are on PyPI."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.system.server import STATE

PROGRAM = str(Path(__file__).parents[1] / "mcp_server.py")
FOLDER = STATE / "bridges"
NAMES = ("mcp2xiaozhi", "xiaozhi_mcp")


def python() -> str:
    """Give a Python that has the bridges. They want an older client, so it is one of its own."""
    program = FOLDER / "bin" / "python"
    if not (FOLDER / "whole").exists():
        venv.create(FOLDER, clear=True, with_pip=True)
        pip = (str(program), "-m", "pip", "install", "--quiet")
        wanted = ("mcp2xiaozhi==0.2.1", "mcp>=1.30,<2")
        # The other's dependencies are for servers of its own, but for websockets and dotenv.
        for command in ((*pip, *wanted), (*pip, "--no-deps", "xiaozhi-mcp==0.0.1")):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SkipTest(f"the bridges cannot be installed: {done.stderr[-300:]}")
        (FOLDER / "whole").touch()
    return str(program)


def command(name: str, folder: Path) -> tuple[str, ...]:
    """Tell how a bridge is started with the server of the tests behind it."""
    path = folder / "mcp_config.json"
    server = {"type": "stdio", "command": sys.executable, "args": ["-P", PROGRAM, "stdio"]}
    path.write_text(json.dumps({"mcpServers": {"demo": server}}), encoding="utf-8")
    if name == "mcp2xiaozhi":
        return (python(), "-m", name, "--config", str(path), "run", "--all")
    return (python(), "-m", name, "demo")
