"""Engines, made as the settings want them; those of before are kept where they are wanted again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import MultiService

from xiaozhi.choices import Chosen
from xiaozhi.errors import Unavailable
from xiaozhi.services import engine
from xiaozhi.services.counters import Counters
from xiaozhi.services.pool import Workers
from xiaozhi.services.standby import Standby
from xiaozhi.settings import Config


@attrs.frozen
class Made:
    """The engines of one configuration, not started."""

    config: Config
    engines: Mapping[str, Sequence[tuple[Chosen, Any]]]
    """By kind, in order."""
    lacking: Mapping[str, Sequence[str]]
    """Those that cannot be had, by reason."""

    def named(self, kind: str) -> list[tuple[str, Any]]:
        """Give the engines of a `kind` with their names."""
        return [(chosen.called, made) for chosen, made in self.engines[kind]]


@attrs.define
class Engines:
    """Makes the engines of each kind."""

    tree: MultiService
    """Where the thread pools live."""
    language: str
    state: Path
    clock: Any
    counters: Counters
    threads: int
    """For the blocking work of each kind."""
    here: Made | None = None
    """Those that serve now."""
    desks: dict[str, Callable[[engine.Workshop], engine.Workshop]] = attrs.field(factory=dict)
    """Where those of a kind may use more of the house: adds that to what all may use."""
    _pools: dict[str, Workers] = attrs.field(factory=dict)

    def workers(self, kind: str) -> Workers:
        """Give the thread pool of one kind of work."""
        if kind not in self._pools:
            pool = self._pools[kind] = Workers(self.clock, kind, self.threads)
            pool.setServiceParent(self.tree)
            pool.measure(self.counters)
        return self._pools[kind]

    def workshop(self, kind: str) -> engine.Workshop:
        """Tell what those of one `kind` may use of the house."""
        usual = engine.Workshop(self.clock, self.workers(kind), self.state, self.language)
        return self.desks[kind](usual) if kind in self.desks else usual

    def make(self, config: Config) -> Made:
        """Make the engines `config` wants; in a thread, if others serve meanwhile.

        Raises Unavailable if there is no voice detector.
        """
        lacking: dict[str, list[str]] = {}
        made = {kind: self._of(kind, getattr(config, kind), lacking) for kind in engine.KINDS}
        if not made["vad"]:
            raise Unavailable(f"vad: {'; '.join(lacking)}")
        return Made(config, made, lacking)

    def standby(self, chosen: Chosen) -> Any:
        """Give an engine that is made when it is needed."""
        kind, name = chosen.kind, chosen.name
        make = partial(engine.make, kind, name, chosen.settings, self.workshop(kind))
        writes = getattr(getattr(engine.load(kind, name), engine.KINDS[kind]), "writes", True)
        return Standby(kind, make, self.workers(kind), self.clock, writes)

    def _of(
        self, kind: str, wanted: Sequence[Chosen], lacking: dict[str, list[str]]
    ) -> list[tuple[Chosen, Any]]:
        """Take or make those of a `kind`; note those that cannot be had."""
        before = list(self.here.engines[kind]) if self.here else []
        made = []
        for chosen in wanted:
            same = next((pair for pair in before if pair[0] == chosen), None)
            if same is not None:
                before.remove(same)
                made.append(same)
                continue
            try:
                new = engine.make(kind, chosen.name, chosen.settings, self.workshop(kind))
            except Unavailable as error:
                lacking.setdefault(error.said(self.language), []).append(f"{kind}.{chosen.called}")
            else:
                made.append((chosen, new))
        return made


def now() -> datetime:
    """Tell the local time, with its offset."""
    return datetime.now().astimezone()
