"""Print the table of every state and event of a turn, as ARCHITECTURE.md has it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import get_args

from xiaozhi import events as e
from xiaozhi import turn as t
from xiaozhi.endpointing import Hush, Speech
from xiaozhi.manners import Manners
from xiaozhi.messages import (
    Abort,
    Alert,
    Control,
    Down,
    ListenStart,
    ListenStop,
    Mode,
    Sound,
    Stt,
    Tts,
)

DOCUMENT = Path(__file__).parent.parent / "ARCHITECTURE.md"
BEGIN, END = "<!-- turn table: make docs -->\n", "<!-- end of the turn table -->\n"

STATES: tuple[t.State, ...] = get_args(t.State)
MODES: tuple[Mode, ...] = ("auto", "manual", "realtime")
N = 7

EVENTS: dict[str, e.Event] = {
    "sound": Sound(b"opus"),
    "listen start, auto": ListenStart("auto"),
    "listen start, realtime": ListenStart("realtime"),
    "listen start, manual": ListenStart("manual"),
    "listen stop": ListenStop(),
    "detect: wake word": e.Detected("你好小智"),
    "detect after sound": e.Detected("anything", follows_sound=True),
    "detect: text": e.Detected("what time is it"),
    "abort": Abort(),
    "speech began": Speech(),
    "speech ended": Hush(),
    "waited, quiet": e.Waited(N, 0.0),
    "waited, voice": e.Waited(N, 0.5),
    "heard": e.Heard(N, "what time is it"),
    "heard nothing": e.Heard(N, ""),
    "no recogniser": e.Deaf(N),
    "first sentence": e.Speaks(N),
    "music begins": e.Plays(N),
    "answer played": e.Finished(N),
    "answer failed": e.Failed(N),
    "farewell is due": e.Farewell(),
    "dialog lapsed": e.Lapsed(),
    "something is due": e.Due("The tea is ready.", "en"),
    "any stale result": e.Heard(N - 1, "what time is it"),
}


def turn_in(state: t.State, mode: Mode) -> t.Turn:
    """Make a turn that has arrived in `state`, its question spoken."""
    turn = t.Turn(Manners(wakeup_words=("你好小智",)))
    turn.state, turn.mode, turn.number = state, mode, N
    turn._spoken = True
    return turn


def cell(state: t.State, event: e.Event) -> str:
    """Say what happens; where the modes differ, for each."""
    outcomes = {}
    for mode in MODES:
        turn = turn_in(state, mode)
        done = [_name(command) for command in turn.receive(event)]
        moved = [f"**{turn.state}**"] if turn.state != state else []
        outcomes[mode] = ", ".join(done + moved) or "·"
    if len(set(outcomes.values())) == 1:
        return outcomes["auto"]
    by_outcome: dict[str, list[str]] = {}
    for mode, outcome in outcomes.items():
        by_outcome.setdefault(outcome, []).append(mode)
    return "; ".join(f"*{', '.join(modes)}:* {what}" for what, modes in by_outcome.items())


def _name(command: e.Command) -> str:
    match command:
        case e.Send(message):
            return _message(message)
        case e.Open(_, by_device, resume):
            return "open" + " by button" * by_device + " again" * resume
        case e.Listen(kept):
            return "listen" + " to what was kept" * kept
        case e.Endpoint(by_device):
            return f"endpoint by {'button' if by_device else 'silence'}"
        case _:
            return type(command).__name__.lower()


def _message(message: Down) -> str:
    match message:
        case Tts(state):
            return f"`tts {state}`"
        case Stt():
            return "`stt`"
        case Alert():
            return "`alert`"
        case Control(_, name):
            return f"{name} tone"
    raise AssertionError(message)


def table() -> str:
    """Write the table in Markdown."""
    rows = [["event", *STATES], ["---"] * (len(STATES) + 1)]
    rows += [[name, *(cell(state, event) for state in STATES)] for name, event in EVENTS.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def documented() -> str:
    """Read the table in the document."""
    match = re.search(f"{re.escape(BEGIN)}(.*?){re.escape(END)}", DOCUMENT.read_text(), re.S)
    assert match, "ARCHITECTURE.md has no turn table"
    return match.group(1)


if __name__ == "__main__":
    if "--write" in sys.argv:
        text = DOCUMENT.read_text()
        DOCUMENT.write_text(text.replace(BEGIN + documented(), BEGIN + table()))
    else:
        sys.stdout.write(table())
