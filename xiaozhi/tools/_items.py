"""One piece of news."""

from __future__ import annotations

import attrs


@attrs.frozen
class Item:
    """What a feed says of one thing."""

    title: str
    summary: str = ""
    """As plain text; "" if there is none, or nothing but the title again."""

    def __attrs_post_init__(self) -> None:
        """Leave out a summary that says nothing more."""
        if self.summary.rstrip("…. ") == self.title.rstrip("…. "):
            object.__setattr__(self, "summary", "")
