"""What an answer consists of, as whoever speaks it is given it, piece by piece."""

from __future__ import annotations

from enum import Enum

import attrs

from xiaozhi.phrases import Key
from xiaozhi.tooling import Clip


@attrs.frozen
class Aside:
    """A phrase of ours about the answer, and no part of it."""

    key: Key


class Pause(Enum):
    """Why nothing comes for a while."""

    WORKING = "tools are at work; whoever has them work says what there is to say about it"
    THINKING = "the model thinks again"


Part = str | Aside | Clip | Pause
"""Words as they come, and what is between and after them."""
