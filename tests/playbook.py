"""A conversation with a turn, written as a transcript.

Playbook(turn).on(ListenStart("auto")).does(Listen(kept=True)).in_state("listening")
"""

from __future__ import annotations

from typing import Self

from xiaozhi import events as e
from xiaozhi import turn as t
from xiaozhi.manners import Manners


class Playbook:
    """Feed a turn events and compare what it does."""

    def __init__(self, manners: Manners | None = None) -> None:
        self.turn = t.Turn(manners or Manners(wakeup_words=("你好小智", "hey jarvis")))
        self._done: list[e.Command] = []
        self._script: list[str] = []

    def on(self, event: e.Event) -> Self:
        """Let `event` happen."""
        assert not self._done, self._story(f"nobody asked for {self._done}")
        self._script.append(f">> {event}")
        self._done = list(self.turn.receive(event))
        self._script += [f"<< {command}" for command in self._done]
        return self

    def does(self, *commands: e.Command) -> Self:
        """Expect exactly these commands, in this order."""
        assert self._done == list(commands), self._story(f"expected {list(commands)}")
        self._done = []
        return self

    def ignores(self, *events: e.Event) -> Self:
        """Expect that these events change nothing."""
        for event in events:
            state = self.turn.state
            self.on(event).does().in_state(state)
        return self

    def in_state(self, state: t.State) -> Self:
        """Expect the turn to be in `state`."""
        assert self.turn.state == state, self._story(f"expected the state {state}")
        return self

    def _story(self, what: str) -> str:
        return "\n".join([*self._script, f"-- {self.turn.state}", what])
