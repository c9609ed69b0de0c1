"""Put the calls of a streamed chat completion together from their pieces.

OpenAI sends an index with each piece, the id and the name with the first. Others send no index,
no id, the id with every piece, the same index with every call, a call at once, or arguments as
an object. All of it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from xiaozhi.laxjson import Extent, Unreadable
from xiaozhi.services.openai_errors import BadAnswer
from xiaozhi.tooling import Call

LONGEST: Final = 50_000
"""Characters of the arguments in one answer, after which it will never end."""


@attrs.define
class _Open:
    """A call that is being written."""

    id: str = ""
    name: str = ""
    text: str = ""
    given: object = None
    """The arguments, where they came as a value."""
    told: bool = False
    """Whether it was yielded."""
    _extent: Extent | None = None

    @property
    def begun(self) -> bool:
        """Whether there are arguments."""
        return bool(self.text) or self.given is not None

    def complete(self) -> bool:
        """Say whether its arguments are an object that is closed."""
        if not self.text.lstrip().startswith("{"):
            return self.given is not None
        if self._extent is None:
            self._extent = Extent(self.text.index("{"))
        try:
            return bool(self._extent.find(self.text))
        except Unreadable:
            return False

    def call(self) -> Call:
        return Call(self.id, self.name, self.text if self.given is None else self.given)


class Calls:
    """The calls of one answer."""

    def __init__(self) -> None:
        """Begin with none."""
        self._calls: list[_Open] = []
        self._by_index: dict[int, _Open] = {}
        self._length = 0

    def add(self, delta: object) -> Iterator[Call]:
        """Take a chunk's delta; yield the calls that are complete. BadAnswer if there is no end."""
        pieces = _of(delta, "tool_calls")
        for piece in pieces if isinstance(pieces, list) else ():
            self._take(piece, _of(piece, "function"))
        if (old := _of(delta, "function_call")) is not None:
            self._take(None, old)
        if self._length > LONGEST:
            raise BadAnswer("the arguments of a call have no end")
        for call in self._calls:
            if call.name and not call.told and call.complete():
                call.told = True
                yield call.call()

    def rest(self) -> Iterator[Call]:
        """Yield those that are not known to be complete, now that the answer is at its end."""
        for call in self._calls:
            if call.name and not call.told:
                yield call.call()

    def _take(self, piece: object, function: object) -> None:
        name, given = _text(_of(function, "name")), _of(function, "arguments")
        call = self._whose(_of(piece, "index"), _text(_of(piece, "id")), name)
        if name != call.name and not call.begun:
            call.name += name
        if isinstance(given, str):
            if not call.told:
                call.text += given
            self._length += len(given)
        elif given is not None:
            call.given = given

    def _whose(self, index: object, own: str, name: str) -> _Open:
        """Find the call that a piece belongs to, or begin one."""
        numbered = isinstance(index, int)
        call = self._by_index.get(index) if isinstance(index, int) else None
        if call is None and not numbered and self._calls:
            call = self._calls[-1]
        another = call is None or (bool(own and call.id) and own != call.id)
        if call is not None and not own and not numbered and name:
            another = call.complete() or bool(call.name and name != call.name)
        if call is None or another:
            call = _Open()
            self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        call.id = call.id or own
        return call


def _of(thing: object, name: str) -> Any:
    """Return a field of an object of the package, or of one that it left as it came."""
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
