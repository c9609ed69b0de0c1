"""Whether a connection has been idle too long, and what is said before it is closed.

Nothing is re-armed when something happens. `look` is asked now and then, is shown when things
last happened, and tells what is due and when to ask again. So a connection needs one timer,
which rings about once in a minute and a half, however much is said on it.

============ ============================== ==================== ==============================
clock        runs since                     first                then
============ ============================== ==================== ==============================
no voice     anybody said or pressed        `warn`, `grace`      `farewell`
             anything                       before its end
no message   the device's last message      `alarm`              `expire`, `last` later
dialog       as for no voice, while the     `lapse`
             server listens to a badge
downlink     the server's last message      `pong`
============ ============================== ==================== ==============================

The first three stand still while the server hears, thinks or speaks; and nothing is closed for
lack of voice or messages while the user is to be told something soon.
"""

from __future__ import annotations

from math import inf
from typing import Literal

import attrs

from xiaozhi.turn import State

Step = Literal["pong", "warn", "farewell", "alarm", "expire", "lapse"]


@attrs.frozen
class Patience:
    """How long a connection may be idle. Times are in seconds."""

    voice: float = 600.0
    """Without anything said."""
    grace: float = 15.0
    """So long before the end of that the user is warned."""
    beyond: float = 60.0
    """So much longer than `voice` a device may send nothing at all."""
    last: float = 10.0
    """After that it has so long to send anything."""
    dialog: float = 15.0
    """So long a badge is listened to without anything said."""
    downlink: float = 90.0
    """So long nothing is sent to a device: after 120 s it takes the connection for dead."""


@attrs.frozen
class Signs:
    """What there is to see of a connection."""

    state: State
    """Whose turn it is."""
    stirred: float
    """When anything was said or pressed, or an answer ended."""
    sent: float
    """When it was last sent anything."""
    badge: bool = False
    awaits: bool = False
    """Whether the user is to be told something soon, for which the connection must stay."""


@attrs.define
class _Countdown:
    """Something is done once for each silence, and something else `grace` seconds later."""

    first: Step
    then: Step
    grace: float
    _since: float = -inf
    _done: int = 0
    _at: float = 0.0

    def look(self, now: float, since: float, patience: float) -> tuple[Step | None, float]:
        """Tell what is due in the silence that began at `since`, and when to ask again."""
        if since != self._since:
            self._since, self._done = since, 0
        if not self._done:
            self._at = since + patience
        if now < self._at:
            return None, self._at
        step = self.then if self._done else self.first
        # Counted from when it is really said: a clock that was late shortens no grace.
        self._done += 1
        self._at = now + self.grace if self._done == 1 else inf
        return step, self._at


class Idling:
    """Watch over one connection."""

    def __init__(self, patience: Patience, now: float) -> None:
        """Have `patience` from `now` on, in the clock's seconds."""
        self.came = now
        """When the device's last message came."""
        self._patience = patience
        self.factor = 1.0
        """Some modes have so many times the patience for silence."""
        self._voice = _Countdown("warn", "farewell", patience.grace)
        self._message = _Countdown("alarm", "expire", patience.last)

    def look(self, now: float, signs: Signs) -> tuple[list[Step], float]:
        """Tell what is to be done `now`, and when to look again, at the latest."""
        patience = self._patience
        steps: list[Step] = []
        again = signs.sent + patience.downlink
        if now >= again:
            steps.append("pong")
            again = now + patience.downlink
        if signs.state not in ("idle", "listening"):
            return steps, min(again, now + patience.dialog)
        if not signs.awaits:
            quiet = patience.voice * self.factor - patience.grace
            silent = patience.voice + patience.beyond
            for step, at in (
                self._voice.look(now, signs.stirred, quiet),
                self._message.look(now, max(self.came, signs.stirred), silent),
            ):
                if step is not None:
                    steps.append(step)
                again = min(again, at)
        if signs.badge and signs.state == "listening":
            lapse = signs.stirred + patience.dialog
            if now >= lapse:
                steps.append("lapse")
            else:
                again = min(again, lapse)
        # A dialog may begin at any moment; looked at so often, its end is not missed.
        return steps, min(again, now + patience.dialog) if signs.badge else again
