"""`xiaozhi devices`, `xiaozhi activate` and `xiaozhi token`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from xiaozhi.config import load, locate
from xiaozhi.errors import ConfigError
from xiaozhi.languages import of_environment
from xiaozhi.operators import tokens
from xiaozhi.operators.errors import Failed
from xiaozhi.operators.remote import Remote, address
from xiaozhi.operators.show import Show
from xiaozhi.settings import Config


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
        ("show", "all about one"),
        ("block", "let one in no more, and end its connection"),
        ("unblock", "let it in again"),
        ("rename", "call it something"),
        ("forget", "delete it, with its activation, its tokens, and what was said"),
    ):
        sub = verbs.add_parser(verb, parents=[common], help=about, description=about)
        sub.add_argument("id")
        if verb == "rename":
            sub.add_argument("name")
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
    new.add_argument("--save", action="store_true", help="keep it for these commands")
    revoke = verbs.add_parser("revoke", parents=[common], help="make one void, or a device's")
    revoke.add_argument("id", nargs="?", help="of the list; of a device, its name in the log")
    revoke.add_argument("--device", metavar="ID", help="a device's; all of them if none is named")
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
        print(error, file=sys.stderr)
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
        if self.options.command == "token":
            return {"list": self._tokens, "new": self._new_token, "revoke": self._revoke}[verb]()
        return self._devices(verb)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        url = self.options.server or address(self.config.server)
        token = tokens.held(self.options.token, self.environ, self.state)
        return Remote(url, token).ask(method, path, body)

    def _devices(self, verb: str) -> Sequence[str]:
        if verb == "list":
            devices = self._ask("GET", "devices")
            return self._told(devices, self.show.devices(devices))
        path = _device(self.options.id)
        changes = {
            "block": {"blocked": True},
            "unblock": {"blocked": False},
            "rename": {"name": getattr(self.options, "name", "")},
        }
        if verb == "show":
            device = self._ask("GET", path)
            return self._told(device, self.show.device(device))
        if verb == "memory":
            return self._memory(f"{path}/memory")
        if verb == "forget":
            done = self._ask("DELETE", path)
            return self._told(done, [self.show.text(verb, id=self.options.id)])
        device = self._ask("PATCH", path, changes[verb])
        return self._told(device, [self.show.text(verb, **device)])

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
        if self.options.server or self.options.token or self.environ.get("XIAOZHI_TOKEN"):
            made: Mapping[str, str] = self._ask(
                "POST", "tokens", {"subject": subject, "label": label}
            )
            return made
        issued = tokens.issue(self.config, self.state, subject, label, time.time())
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
