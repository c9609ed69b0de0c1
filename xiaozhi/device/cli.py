"""The command `xiaozhi device`: talk to a server as a device does, from a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from xiaozhi._reactor import install

OTA = "http://127.0.0.1:8000/xiaozhi/ota/"
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's arguments."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--ota", default=OTA, metavar="URL", help="configuration (%(default)s)")
    common.add_argument("--ws", default="", metavar="URL", help="WebSocket, without configuration")
    common.add_argument("--token", default="", help="token for --ws")
    common.add_argument("--mode", choices=("auto", "manual", "realtime"), default="auto")
    common.add_argument("--version", type=int, choices=(1, 2, 3), help="binary framing")
    common.add_argument("--frame", type=int, choices=(10, 20, 40, 60), default=60, metavar="MS")
    common.add_argument("--device-id", default=_device_id(), metavar="MAC")
    common.add_argument("--client-id", default="", metavar="UUID")
    common.add_argument("--save", default="", metavar="WAV", help="keep the sound of the answer")
    common.add_argument("--json", action="store_true", help="one event a line")
    common.add_argument("--timeout", type=float, default=60.0, metavar="S")
    common.add_argument("--language", default="", metavar="TAG", help="Accept-Language")
    common.add_argument("--speaker", action="store_true", help="play the answer")
    common.add_argument("--photo", default="", metavar="JPEG", help="what its camera sees")
    made = argparse.ArgumentParser(prog="xiaozhi device", description=__doc__)
    verbs = made.add_subparsers(dest="verb", required=True)
    for verb, argument, about in (
        ("say", "TEXT", "speak TEXT with an offline voice"),
        ("type", "TEXT", "send TEXT as typed"),
        ("play", "FILE", "say what is in a WAV file"),
        ("mic", "", "talk through this computer's microphone"),
    ):
        sub = verbs.add_parser(verb, parents=[common], help=about, description=about)
        if argument:
            sub.add_argument("what", metavar=argument)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 only after a whole turn."""
    options = parser().parse_args(argv)
    if options.verb == "mic" and options.mode == "manual":
        parser().error("mic has no button: use --mode auto or realtime")
    options.language = options.language or language_tag(os.environ)
    # Nothing may bring in a reactor before this.
    install()
    from twisted.internet import reactor
    from twisted.internet.defer import CancelledError, Deferred
    from twisted.python.failure import Failure

    from xiaozhi.device.show import Show
    from xiaozhi.device.talk import run

    loop: Any = reactor
    results: list[int | Failure] = []
    show = Show(_write, as_json=options.json, chinese=language_tag(os.environ) == "zh-CN")

    def begin() -> None:
        talk = Deferred.fromCoroutine(run(options, loop, show, _complain))
        loop.addSystemEventTrigger("before", "shutdown", talk.cancel)
        talk.addBoth(results.append)
        talk.addBoth(lambda _: loop.stop() if not interrupted(results) else None)

    def interrupted(results: Sequence[int | Failure]) -> bool:
        return isinstance(results[0], Failure) and bool(results[0].check(CancelledError))

    loop.callWhenRunning(begin)
    loop.run()
    if not results or interrupted(results):
        return 0 if options.verb == "mic" else INTERRUPTED
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def language_tag(environment: Mapping[str, str]) -> str:
    """Tell the user's language, from the usual variables: "zh-CN", "en-US" or what they say."""
    named = next(
        (environment[n] for n in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(n)), ""
    )
    tag = named.partition(".")[0].replace("_", "-")
    if tag.lower().startswith("zh"):
        return "zh-CN"
    return tag if len(tag) > 1 and tag != "POSIX" else "en-US"


def _device_id() -> str:
    """Make up an address of this computer's own: two devices of one address displace each other."""
    octets = uuid.getnode().to_bytes(6, "big")
    return ":".join(f"{octet:02x}" for octet in (2, *octets[1:]))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
