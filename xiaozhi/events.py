"""What a turn is told and what it orders: its events and its commands, as values.

The device's own messages (`wire`) and the edges of speech (`endpointing`) are events as well.
Whatever is a result carries the number of the turn it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from xiaozhi.endpointing import Hush, Speech
from xiaozhi.messages import (
    Abort,
    Down,
    ListenStart,
    ListenStop,
    Sound,
)

# -- events --


@attrs.frozen
class Detected:
    """The device names its wake word, or a text that was typed."""

    text: str
    follows_sound: bool = False
    """Whether sound came just before while idle: then it is the wake word's."""


@attrs.frozen
class Waited:
    """The time asked for by `Wait` is over; `voiced` seconds of voice came meanwhile."""

    turn: int
    voiced: float = 0.0
    speaking: bool = False
    """Whether somebody is speaking now."""


@attrs.frozen
class Heard:
    """The utterance was recognised; `text` is empty if nothing was said."""

    turn: int
    text: str
    language: str = ""
    """The language it was said in, if the recogniser knows it."""


@attrs.frozen
class Deaf:
    """No recogniser could do it."""

    turn: int


@attrs.frozen
class Speaks:
    """The answer has its first sentence."""

    turn: int


@attrs.frozen
class Plays:
    """The answer was spoken, and what sounds now is music."""

    turn: int


@attrs.frozen
class Finished:
    """The device has played the answer; or there was nothing to say."""

    turn: int
    leave: bool = False
    """Whether the user wants the connection to end with it."""


@attrs.frozen
class Failed:
    """The answer broke off by a fault of ours."""

    turn: int


@attrs.frozen
class Farewell:
    """Nobody has said anything for so long that the connection is not worth keeping."""


@attrs.frozen
class Lapsed:
    """Nobody goes on with the dialog: it is over until the next wake word or button."""


@attrs.frozen
class Due:
    """Something is to be said that nobody asked for now, as soon as it interrupts nobody."""

    text: str
    language: str
    title: str = ""
    """What it is, for the screen."""
    again: bool = False
    """Whether it was said before, and need not be said to who has answered."""
    told: Callable[[bool], None] = attrs.field(default=lambda spoken: None, eq=False, repr=False)
    """Called when it is done with: said, or (False) answered before it was said again."""
    answered: Callable[[], None] = attrs.field(default=lambda: None, eq=False, repr=False)
    """Called when the user says or presses anything, if nothing was announced after it."""


Event = (
    Sound
    | ListenStart
    | ListenStop
    | Detected
    | Abort
    | Speech
    | Hush
    | Waited
    | Heard
    | Deaf
    | Speaks
    | Plays
    | Finished
    | Failed
    | Farewell
    | Lapsed
    | Due
)


# -- commands --


@attrs.frozen
class Keep:
    """Remember this packet for two seconds, in case it begins an utterance."""

    packet: bytes


@attrs.frozen
class Feed:
    """Listen to this packet: detect speech in it, and hand it to the open recogniser."""

    packet: bytes


@attrs.frozen
class Listen:
    """Wait for speech from now on. `kept`: hear what was kept while idle first."""

    kept: bool = False


@attrs.frozen
class Open:
    """Begin to recognise an utterance, with what was kept of its beginning.

    `by_device`: a button ends it. `resume`: it goes on where the last one seemed to end.
    """

    turn: int
    by_device: bool = False
    resume: bool = False


@attrs.frozen
class Endpoint:
    """Let the button (`by_device`) or the silence end the utterance under way."""

    by_device: bool


@attrs.frozen
class Transcribe:
    """The utterance is complete: get its text."""

    turn: int


@attrs.frozen
class Answer:
    """Answer what the user said, in that `language` where it is known."""

    turn: int
    text: str
    language: str = ""


@attrs.frozen
class Greet:
    """Answer the wake word alone."""

    turn: int


@attrs.frozen
class Apologise:
    """Say that nothing could be understood, since no recogniser works."""

    turn: int


@attrs.frozen
class Part:
    """Say goodbye, since nobody has said anything for long."""

    turn: int


@attrs.frozen
class Announce:
    """Say what is due."""

    turn: int
    due: Due


@attrs.frozen
class Told:
    """What was due is done with: it was `spoken`, or nobody waits for it any more."""

    due: Due
    spoken: bool = True


@attrs.frozen
class Answered:
    """The user says or presses something, for the first time since this was announced."""

    due: Due


@attrs.frozen
class Leave:
    """Close the connection: all has been said."""


@attrs.frozen
class Drop:
    """End everything done for this turn: recogniser, model, speech, frames, timer."""

    turn: int


@attrs.frozen
class Send:
    """Tell the device."""

    message: Down


@attrs.frozen
class Wait:
    """Come back with `Waited` after so many seconds; replaces an earlier wait."""

    turn: int
    seconds: float


@attrs.frozen
class Clear:
    """Forget all sound."""


Command = (
    Keep
    | Feed
    | Listen
    | Open
    | Endpoint
    | Transcribe
    | Answer
    | Greet
    | Apologise
    | Part
    | Announce
    | Told
    | Answered
    | Leave
    | Drop
    | Send
    | Wait
    | Clear
)
