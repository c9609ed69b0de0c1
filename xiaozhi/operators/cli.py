"""`xiaozhi devices`, `xiaozhi activate`, `xiaozhi token` and `xiaozhi mcp`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from xiaozhi.config import load, locate
from xiaozhi.errors import ConfigError
from xiaozhi.identity import normal
from xiaozhi.languages import of_environment
from xiaozhi.operators import tokens
from xiaozhi.operators.errors import NOT_DONE, Failed
from xiaozhi.operators.remote import Remote, address
from xiaozhi.operators.show import Show
from xiaozhi.services.store import TokenKind, subject_of
from xiaozhi.services.web.address import public as public_address
from xiaozhi.settings import Config

_CALLING: Final = 50.0
"""Seconds a device's tool may take: those of the server, and some more."""
PAGE: Final = 1000
"""Devices that are asked for at a time: as many as there can be."""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the commands' arguments."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", "-c", metavar="FILE", help="the server's configuration")
    common.add_argument("--server", metavar="URL", help="the server, if it is not on this machine")
    common.add_argument("--token", metavar="TOKEN", help="else $XIAOZHI_TOKEN, or the saved one")
    common.add_argument("--json", action="store_true", help="print what the server answers")
    made = argparse.ArgumentParser(prog="xiaozhi", description="Run a server.")
    commands = made.add_subparsers(dest="command", required=True)

    devices = commands.add_parser("devices", parents=[common], help="devices that were seen")
    verbs = devices.add_subparsers(dest="verb")
    verbs.add_parser("list", parents=[common], help="all of them (the default)")
    for verb, about in (
        ("show", "all about one, and what was said in its last sessions"),
        ("block", "let one in no more, and end its connection"),
        ("unblock", "let it in again"),
        ("rename", "call it something"),
        ("tools", "what a connected one can do, operators' tools too"),
        ("call", "have a connected one do it: reboot, say"),
        ("forget", "delete it, with its activation, its tokens, and what was said"),
    ):
        sub = verbs.add_parser(verb, parents=[common], help=about, description=about)
        sub.add_argument("id")
        if verb == "rename":
            sub.add_argument("name")
        if verb == "call":
            sub.add_argument("tool", metavar="TOOL")
            sub.add_argument("arguments", metavar="JSON", nargs="?", default="{}")
    about = "what is known of its user; with --forget, erase it"
    memory = verbs.add_parser("memory", parents=[common], help=about, description=about)
    memory.add_argument("id")
    memory.add_argument("--forget", action="store_true", help="erase it: all, or only what is")
    only = memory.add_mutually_exclusive_group()
    only.add_argument("--minutes", type=int, metavar="N", help="from the last N minutes, or")
    only.add_argument("--about", metavar="WORDS", help="about something")

    activate = commands.add_parser(
        "activate", parents=[common], help="activate the device that shows a code"
    )
    activate.add_argument("code", metavar="CODE", help="the six digits, or the device's id")

    token = commands.add_parser("token", parents=[common], help="tokens of operators and devices")
    verbs = token.add_subparsers(dest="verb")
    verbs.add_parser("list", parents=[common], help="all that are kept (the default)")
    new = verbs.add_parser("new", parents=[common], help="make one, and print it once")
    new.add_argument("--for", dest="subject", metavar="NAME", help="whose it is; you, usually")
    new.add_argument("--label", default="", help="what it is for")
    new.add_argument("--device", metavar="ID", help="make one for a device instead")
    new.add_argument(
        "--mcp", metavar="all|ID,ID", help="make one for MCP servers, to serve these devices"
    )
    new.add_argument("--save", action="store_true", help="keep it for these commands")
    revoke = verbs.add_parser("revoke", parents=[common], help="make one void, or a device's")
    revoke.add_argument("id", nargs="?", help="of the list; of a device, its name in the log")
    revoke.add_argument("--device", metavar="ID", help="a device's; all of them if none is named")

    commands.add_parser("mcp", parents=[common], help="the MCP servers, and how they are")
    return made


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    given = argparse.Namespace(config=None, server="", token="", json=False)
    options = parser().parse_args(argv, given)
    language = of_environment(os.environ)
    try:
        config = load(locate(options.config, os.environ, Path.cwd()), os.environ)
        desk = Desk(options, config, config.state_path(os.environ), os.environ, Show(language))
        print("\n".join(desk.run()), flush=True)
    except Failed as failed:
        print(f"xiaozhi: {failed.said(language)}", file=sys.stderr)
        return failed.code
    except ConfigError as error:
        print(error.said(language), file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head`: what is left in the buffer must not be tried again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@attrs.define
class Desk:
    """Does one command."""

    options: argparse.Namespace
    config: Config
    state: Path
    environ: Mapping[str, str]
    show: Show

    def run(self) -> Sequence[str]:
        """Do it, and give what is to be printed; raises Failed."""
        verb = getattr(self.options, "verb", None) or "list"
        if self.options.command == "activate":
            return self._activate()
        if self.options.command == "mcp":
            servers = self._ask("GET", "mcp")
            return self._told(servers, self.show.servers(servers))
        if self.options.command == "token":
            return {"list": self._tokens, "new": self._new_token, "revoke": self._revoke}[verb]()
        return self._devices(verb)

    def _ask(self, method: str, path: str, body: Any = None, seconds: float = 10.0) -> Any:
        url = self.options.server or address(self.config.server)
        token = tokens.held(self.options.token, self.environ, self.state)
        return Remote(url, token, seconds).ask(method, path, body)

    def _devices(self, verb: str) -> Sequence[str]:
        if verb == "list":
            devices = self._all_devices()
            return self._told(devices, self.show.devices(devices))
        path = _device(self.options.id)
        changes = {
            "block": {"blocked": True},
            "unblock": {"blocked": False},
            "rename": {"name": getattr(self.options, "name", "")},
        }
        if verb == "show":
            device, said = self._ask("GET", path), self._ask("GET", f"{path}/memories")
            lines = [*self.show.device(device), *self.show.memories(said)]
            return self._told({**device, "latest_memories": said}, lines)
        if verb == "tools":
            tools = self._ask("GET", f"{path}/tools")
            return self._told(tools, self.show.tools(tools))
        if verb == "call":
            return self._call(f"{path}/tools")
        if verb == "memory":
            return self._memory(f"{path}/memory")
        if verb == "forget":
            done = self._ask("DELETE", path)
            return self._told(done, [self.show.text(verb, id=self.options.id)])
        device = self._ask("PATCH", path, changes[verb])
        return self._told(device, [self.show.text(verb, **device)])

    def _call(self, path: str) -> Sequence[str]:
        try:
            arguments = json.loads(self.options.arguments)
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise Failed("no_object", NOT_DONE)
        wanted = {"tool": self.options.tool, "arguments": arguments}
        done = self._ask("POST", path, wanted, _CALLING)
        return self._told(done, self.show.outcome(done))

    def _all_devices(self) -> Sequence[Mapping[str, Any]]:
        """Ask for page after page; the device seen last comes first."""
        devices = page = self._ask("GET", f"devices?limit={PAGE}")
        while len(page) == PAGE:
            after = quote(page[-1]["id"], safe="")
            page = self._ask("GET", f"devices?limit={PAGE}&after={after}")
            devices = [*devices, *page]
        return sorted(devices, key=lambda device: device["last_seen"], reverse=True)

    def _memory(self, path: str) -> Sequence[str]:
        options = self.options
        wanted = {"minutes": options.minutes, "about": options.about}
        given = {name: value for name, value in wanted.items() if value is not None}
        if not options.forget:
            if given:
                parser().error("devices memory: --minutes and --about are for --forget")
            known = self._ask("GET", path)
            return self._told(known, self.show.memory(known))
        done = self._ask("DELETE", f"{path}?{urlencode(given)}" if given else path)
        return self._told(done, [self.show.text("erased", **done)])

    def _activate(self) -> Sequence[str]:
        given: str = self.options.code
        digits = "".join(given.split())
        is_code = len(digits) == 6 and digits.isascii() and digits.isdigit()
        device = self._ask("POST", "activate", {"code": digits} if is_code else {"device": given})
        return self._told(device, [self.show.text("activated", **device)])

    def _tokens(self) -> Sequence[str]:
        listed = self._ask("GET", "tokens")
        return self._told(listed, self.show.tokens(listed))

    def _new_token(self) -> Sequence[str]:
        options = self.options
        if options.mcp:
            return self._new_mcp()
        if options.device:
            label = {"label": options.label} if options.label else {}
            made = self._ask("POST", f"{_device(options.device)}/token", label)
        else:
            made = self._new_operator(options.subject or _user(self.environ))
        if options.save and not options.device:
            path = tokens.save(made["secret"], self.state)
            print(self.show.text("saved", path=path), file=sys.stderr)
        if not options.json:
            # Beside the token, so that `TOKEN=$(xiaozhi token new)` has nothing else.
            print(self.show.text("once"), file=sys.stderr)
        return self._told(made, [made["secret"]])

    def _new_operator(self, subject: str) -> Mapping[str, str]:
        """Have one made by the server if there is a token to ask with, else in the store."""
        label: str = self.options.label
        if self._asks:
            made: Mapping[str, str] = self._ask(
                "POST", "tokens", {"subject": subject, "label": label}
            )
            return made
        return self._issue("operator", subject)

    def _new_mcp(self) -> Sequence[str]:
        """Have one made for MCP servers; print the address where they connect."""
        wanted: str = self.options.mcp
        devices = None if wanted == "all" else {normal(name) for name in wanted.split(",")} - {""}
        if self._asks:
            body = {"mcp": sorted(devices or ()), "label": self.options.label}
            made = self._ask("POST", "tokens", body)
        else:
            made = self._issue("mcp", subject_of(devices or None))
        public = public_address(self.config.server.public_url)
        base = self.options.server or (public.http("") if public else address(self.config.server))
        made["url"] = f"ws{base.rstrip('/').removeprefix('http')}/mcp/?token={made['secret']}"
        if not self.options.json:
            print(self.show.text("once"), file=sys.stderr)
        return self._told(made, [made["url"]])

    @property
    def _asks(self) -> bool:
        """Whether a server is asked for a token, instead of the store."""
        options = self.options
        return bool(options.server or options.token or self.environ.get("XIAOZHI_TOKEN"))

    def _issue(self, kind: TokenKind, subject: str) -> dict[str, str]:
        issued = tokens.issue(
            self.config, self.state, kind, subject, self.options.label, time.time()
        )
        return {"id": issued.id, "secret": issued.secret}

    def _revoke(self) -> Sequence[str]:
        name, device = self.options.id, self.options.device
        if device:
            query = f"?fingerprint={quote(name, safe='')}" if name else ""
            done = self._ask("DELETE", f"{_device(device)}/token{query}")
        elif name:
            done = self._ask("DELETE", f"tokens/{quote(name, safe='')}")
        else:
            parser().error("token revoke: the token's id, or --device")
        return self._told(done, [self.show.text("revoke", id=name or device)])

    def _told(self, answer: Any, lines: Sequence[str]) -> Sequence[str]:
        return [json.dumps(answer, ensure_ascii=False)] if self.options.json else lines


def _user(environ: Mapping[str, str]) -> str:
    """Tell who runs the command, for the log; `sudo` does not hide it."""
    names = (environ.get(name) for name in ("SUDO_USER", "USER", "LOGNAME"))
    return next(filter(None, names), "operator")


def _device(name: str) -> str:
    return f"devices/{quote(name, safe='')}"
