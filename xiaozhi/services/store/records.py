"""What is kept, as values: devices, activations, tokens, memories of sessions, reminders."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal, NamedTuple

import msgspec

from xiaozhi.errors import Refused


class Full(Refused):
    """There are as many devices as there may be."""


TokenKind = Literal["operator", "device", "mcp"]
"""Whose tokens there are; those of `mcp` let MCP servers in, to serve their subject."""

FACTS = ("client_id", "board", "firmware", "language", "address")
"""What a device tells of itself, beside its id."""
_LONGEST = 200
"""Letters of a fact that are kept."""

EXACT = 60.0
"""Seconds to which it is known when a device was last seen: it is no news sooner."""

ReminderKind = Literal["timer", "alarm", "reminder"]

TICK = 0.001
"""Seconds by which times of issue differ: what is to be good is made so much after `not_before`."""


class Record(msgspec.Struct, frozen=True):
    """The base of what is kept. Times are seconds since 1970, UTC."""


class Seen(Record, frozen=True, kw_only=True):
    """What a device tells of itself. An empty fact leaves the one that is known."""

    id: str
    """As `identity` has it."""
    client_id: str = ""
    board: str = ""
    firmware: str = ""
    language: str = ""
    """The user's, as a primary subtag."""
    address: str = ""
    """Where it was seen."""


class DeviceRecord(Seen, frozen=True, kw_only=True):
    """A device."""

    name: str = ""
    """What its owner calls it."""
    blocked: bool = False
    activated_at: float | None = None
    first_seen: float
    last_seen: float
    tokens_void_at: float | None = None
    """Tokens it was handed until then were revoked."""
    role: str = ""
    """The role its user asked for last; "" for the usual one."""

    @property
    def not_before(self) -> float:
        """Until when its tokens are void: for ever (infinite), unless it may have any.

        Those from before its activation are void, too: it may have been forgotten since.
        """
        if self.blocked or self.activated_at is None:
            return math.inf
        return max(self.activated_at, self.tokens_void_at or 0.0)

    def told(self, seen: Seen, now: float) -> DeviceRecord:
        """Tell what is known once the device has told `seen`: this very object if it is no news."""
        facts = {fact: printable(getattr(seen, fact)) or getattr(self, fact) for fact in FACTS}
        told = msgspec.structs.replace(self, **facts)
        if told == self and abs(now - self.last_seen) < EXACT:
            return self
        return msgspec.structs.replace(told, last_seen=now)


class Standing(Record, frozen=True):
    """What is held against the tokens of a device."""

    not_before: float = 0.0
    """Those issued until then are void."""
    revoked: frozenset[str] = frozenset()
    """So are those with these fingerprints."""


class Activation(Record, frozen=True, kw_only=True):
    """How a device can be activated, until it is."""

    device_id: str
    code: str
    """Six digits, which only whoever sees or hears the device can know."""
    challenge: str
    """What a device with a key of its own signs."""
    made_at: float

    def __repr__(self) -> str:
        """Leave the code out: it is a secret."""
        return f"Activation({self.device_id!r}, ...)"


class IssuedToken(Record, frozen=True, kw_only=True):
    """A token, the only time its secret is told."""

    id: str
    """Short, and public."""
    secret: str

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"IssuedToken({self.id!r}, ...)"


class TokenRecord(Record, frozen=True, kw_only=True):
    """What is known of a token; its secret is not."""

    id: str
    kind: TokenKind
    subject: str
    """Whose it is: an operator, or the id of a device; of `mcp`, see `audience`."""
    label: str
    made_at: float
    revoked_at: float | None = None


class Entry(NamedTuple):
    """Something that was said."""

    role: str
    """Who said it: "user" or "assistant"."""
    text: str
    at: float = 0.0
    """When; 0 if that was not noted."""


EVERYBODY = "*"


def subject_of(devices: Collection[str] | None) -> str:
    """Write whom an MCP server serves: the ids of devices, or (None) all there are."""
    return EVERYBODY if devices is None else ",".join(sorted(devices))


def audience(subject: str) -> frozenset[str] | None:
    """Read it: None for all."""
    return None if subject == EVERYBODY else frozenset(subject.split(","))


class SessionMemory(Record, frozen=True, kw_only=True):
    """What was said in a session."""

    session_id: str
    device_id: str
    began: float
    ended: float
    entries: tuple[Entry, ...]


class Fact(Record, frozen=True):
    """Something about a device's user."""

    text: str
    said_at: float
    """When they said it."""
    topic: str = ""
    """What it tells, where there can be only one fact of that: a later one replaces it."""


class Digest(Record, frozen=True):
    """An earlier talk, in a few words."""

    text: str
    ended: float


class Recollection(Record, frozen=True):
    """What is known of a device's user."""

    facts: tuple[Fact, ...] = ()
    """The one said first comes first."""
    digests: tuple[Digest, ...] = ()
    """The earliest talk comes first."""
    version: int = 0
    """How often it was changed."""

    @property
    def summary(self) -> str:
        """The earlier talks, a line each."""
        return "\n".join(digest.text for digest in self.digests)


class Reminder(Record, frozen=True, kw_only=True):
    """Something a device is to be told at a time."""

    id: str
    device_id: str
    kind: ReminderKind
    label: str = ""
    """What for; "" if nothing was said of it."""
    due: float
    minutes: int = -1
    """The local time it was set for, in minutes since midnight; -1 for so long from then."""
    zone: str = "UTC"
    """The time zone in which that is."""
    repeat: str = ""
    """When it comes again, as `occurrence.REPEATS` calls it; "" if it does not."""
    language: str = "en"
    """The language it was set in, as a primary subtag."""
    made_at: float


def printable(text: str) -> str:
    """Keep what a person could read, which every database takes."""
    if len(text) <= _LONGEST and text.isprintable():
        return text
    return "".join(sign for sign in text[:_LONGEST] if sign.isprintable())
