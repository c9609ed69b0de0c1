"""The `xiaozhi` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xiaozhi import __version__
from xiaozhi.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["device"]:
        from xiaozhi.device.cli import main as device

        return device(given[1:])
    if given[:1] and given[0] in ("devices", "activate", "token", "mcp"):
        from xiaozhi.operators.cli import main as operate

        return operate(given)
    parser = _parser()
    options = parser.parse_args(given or ["run"])
    command: int = options.command(options)
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xiaozhi", description="A voice-assistant server for small speaking devices."
    )
    parser.add_argument("--version", action="version", version=f"xiaozhi {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="start the server and stay (the default)")
    run.add_argument("--config", "-c", metavar="FILE", help="the configuration")
    run.set_defaults(command=_run)
    init = commands.add_parser("init", help="write a configuration file with every key")
    init.add_argument("file", nargs="?", default="etc/xiaozhi.yaml", type=Path)
    init.set_defaults(command=_init)
    check = commands.add_parser("check", help="say what is wrong with a configuration file")
    check.add_argument("file", nargs="?", default=None)
    # Under a name of its own: the default of an absent `file` would replace it.
    check.add_argument("--config", "-c", metavar="FILE", help="the same")
    check.set_defaults(command=_check)
    commands.add_parser("devices", help="the devices of a server: list, show, block, forget ...")
    commands.add_parser("activate", help="activate the device that shows a code")
    commands.add_parser("token", help="make, list and revoke tokens of operators and devices")
    commands.add_parser("mcp", help="the MCP servers of a server, and how they are")
    commands.add_parser("device", help="a simulated device: see `xiaozhi device --help`")
    return parser


def _run(options: argparse.Namespace) -> int:
    """Do what `twistd -n xiaozhi` does."""
    from twisted.python.usage import UsageError
    from twisted.scripts import twistd

    import xiaozhi.tap  # noqa: F401 - installs the reactor before twistd imports one

    command = ["--nodaemon", "--pidfile=", "xiaozhi"]
    if options.config:
        command += ["--config", options.config]
    parsed: Any = twistd.ServerOptions()  # type: ignore[attr-defined]
    try:
        parsed.parseOptions(command)
        twistd.runApp(parsed)
    except (UsageError, OSError) as error:
        print(f"xiaozhi: {error}", file=sys.stderr)
        return 1
    return 0


def _init(options: argparse.Namespace) -> int:
    from xiaozhi.manual import render

    path: Path = options.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(render())
    except FileExistsError:
        print(f"xiaozhi: {path} exists; it was left as it is", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"xiaozhi: {error}", file=sys.stderr)
        return 1
    print(f"{path}: written, with every key at its default")
    return 0


def _check(options: argparse.Namespace) -> int:
    from xiaozhi.config import load, locate
    from xiaozhi.doubts import doubts
    from xiaozhi.languages import of_environment
    from xiaozhi.mistakes import words

    language = of_environment(os.environ)
    try:
        path = locate(options.file or options.config, os.environ, Path.cwd())
        config = load(path, os.environ)
    except ConfigError as error:
        print(error.said(language), file=sys.stderr)
        return 1
    for doubt in doubts(config):
        print(words("warning", why=doubt).said(language), file=sys.stderr)
    print(words("right", file=path or words("defaults")).said(language))
    return 0


if __name__ == "__main__":
    sys.exit(main())
