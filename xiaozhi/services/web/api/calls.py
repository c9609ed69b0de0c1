"""One request of an operator's, and what all that is done about one has in common."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

import attrs
import msgspec
from msgspec import Meta
from twisted.web.server import Request

from xiaozhi import jsontext
from xiaozhi.services.store import TokenRecord
from xiaozhi.services.web.answering import Problem
from xiaozhi.services.web.asking import query

_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")

T = TypeVar("T", bound="Body")
R = TypeVar("R")
Verb = Callable[..., Awaitable[object]]
"""Does what is asked for: takes the `Call` and the names in its path; raises Problem."""
Paths = Mapping[str, Mapping[str, Verb]]
"""What can be done where, by method; `*` stands for a name."""
Line = Annotated[str, Meta(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of what requests have in their bodies."""


@attrs.frozen
class Call:
    """A request of an operator's."""

    operator: TokenRecord
    request: Request

    def body(self, kind: type[T]) -> T:
        """Read the body; raises Problem. None at all is one with nothing in it."""
        content = self.request.content
        data = (content.read() if content else b"").strip() or b"{}"
        if jsontext.deeper(data):
            raise Problem(400, f"the body is nested deeper than {jsontext.DEEPEST} levels")
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Problem(400, _reason(str(error))) from None

    def number(self, name: str, usual: int, most: int) -> int:
        """Read a number of the query, from 1 to `most`; raises Problem."""
        text = query(self.request).get(name, [str(usual)])[0]
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= most:
            raise Problem(400, f"{name}: must be a number from 1 to {most}")
        return int(text)


def there(found: R | None) -> R:
    """Give what was found; raises Problem if that is nothing."""
    if not found:
        raise Problem(404, "there is no such thing")
    return found


def _reason(error: str) -> str:
    """Put the name of the field in front."""
    where = _WHERE.search(error)
    return f"{where[1]}: {error[: where.start()]}" if where and where[1] else error
