"""What is kept, as values: devices, activations, tokens, memories of sessions."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

TokenKind = Literal["operator", "device"]


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
    """Whose it is: an operator, or the id of a device."""
    label: str
    made_at: float
    revoked_at: float | None = None


class Entry(NamedTuple):
    """Something that was said."""

    role: str
    """Who said it: "user" or "assistant"."""
    text: str


class SessionMemory(Record, frozen=True, kw_only=True):
    """What was said in a session."""

    session_id: str
    device_id: str
    began: float
    ended: float
    entries: tuple[Entry, ...]
