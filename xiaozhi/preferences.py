"""Which engines are asked before the usual ones: for a purpose, or in a role."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from xiaozhi.choices import Chosen, Wish
from xiaozhi.services.roster import Engine, Member, Roster

E = TypeVar("E", bound=Engine)


class Preferences(Generic[E]):
    """The engines of one kind that somebody prefers: in the list anyway, or its guests.

    Who wishes for the same engine with the same settings has the same one, whatever the purpose
    and whichever the session.
    """

    def __init__(self, roster: Roster[E], standby: Callable[[Chosen], E]) -> None:
        """Fill the `roster`; `standby` gives an engine that is made when it is needed."""
        self._roster = roster
        self._standby = standby
        self._guests: Sequence[tuple[Chosen, E]] = ()
        self._known: Sequence[tuple[Chosen, Member[E]]] = ()

    def replace(self, usual: Sequence[tuple[Chosen, E]], wishes: Iterable[Wish]) -> None:
        """Go on with the `usual` engines in their order, and those of the `wishes`."""
        engines = list(usual)
        for wish in wishes:
            if wish.chosen is not None and _find(engines, wish.chosen) is None:
                guest = _find(self._guests, wish.chosen) or self._standby(wish.chosen)
                engines.append((wish.chosen, guest))
        self._guests = engines[len(usual) :]
        named = [(chosen.called, engine) for chosen, engine in engines]
        self._roster.replace(named[: len(usual)], named[len(usual) :])
        chosen = [one for one, _ in engines]
        self._known = list(zip(chosen, self._roster.everybody, strict=True))

    def members(self, wishes: Iterable[Wish | None]) -> Sequence[Member[E]]:
        """Tell who is to be asked first; wishes that cannot be fulfilled are passed over."""
        chosen = [wish.chosen for wish in wishes if wish is not None and wish.chosen is not None]
        found = (_find(self._known, one) for one in chosen)
        return list(dict.fromkeys(member for member in found if member is not None))


T = TypeVar("T")


def _find(known: Sequence[tuple[Chosen, T]], wanted: Chosen) -> T | None:
    return next((one for chosen, one in known if chosen == wanted), None)
