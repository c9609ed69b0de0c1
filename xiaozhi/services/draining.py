"""Whether the server is about to stop: then it takes nobody new, and says so to who asks."""

from __future__ import annotations

import attrs


@attrs.define
class Draining:
    """A flag, set once and seen by all who admit."""

    on: bool = False
