"""Decisions out of bytes, and the messages of devices, mutated by such decisions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final, TypeVar

T = TypeVar("T")

HELLO: Final[dict[str, Any]] = {
    "type": "hello",
    "version": 1,
    "features": {"mcp": True, "aec": True},
    "transport": "websocket",
    "audio_params": {"format": "opus", "sample_rate": 16000, "channels": 1, "frame_duration": 60},
}
MESSAGES: Final[Sequence[dict[str, Any]]] = (
    HELLO,
    HELLO | {"version": 3, "features": {"badge": True, "glyph_push": False}},
    *({"type": "listen", "state": "start", "mode": m} for m in ("auto", "manual", "realtime")),
    {"session_id": "s1", "type": "listen", "state": "start"},
    {"type": "listen", "state": "stop"},
    {"type": "listen", "state": "detect", "text": "hey jarvis"},
    {"type": "listen", "state": "detect", "text": "你好，小智"},
    {"type": "abort", "reason": "wake_word_detected"},
    *(
        {"type": "mcp", "payload": {"jsonrpc": "2.0", "id": number} | reply}
        for number in (1, 2, 3, 4)
        for reply in (
            {"result": {"tools": [{"name": "self.x", "description": "x", "inputSchema": {}}]}},
            {"result": {"tools": [{"name": "a"}], "nextCursor": "b"}},
            {"result": {"content": [{"type": "text", "text": "true"}], "isError": False}},
            {"result": {"content": [{"type": "image", "image": '{"mimeType":"image/png"}'}]}},
            {"error": {"message": "Unknown tool: x"}},
        )
    ),
    {"type": "mcp", "payload": '{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}'},
    {"type": "iot", "update": True, "states": [{"name": "Speaker", "state": {"volume": 70}}]},
    {"type": "server", "action": "restart", "content": {"secret": "wrong"}},
    {"type": "config_update", "config": {"asr": "whisper"}},
    {"type": "ping"},
    {"type": "keepalive"},
    {"type": "goodbye", "session_id": "s1"},
    {"type": "mode", "mode": "meeting"},
    {"type": "ui.ack", "id": "7"},
    {"type": "device.control", "action": "play.tone"},
)
ODD: Final[Sequence[Any]] = (
    None, True, False, 0, -1, 1, 2, 3, 1.5, -0.0, 1e300, 2**31, 2**63, 2**64, -(2**70), "", "0",
    "\0", "\ud800", "\u202e", "🙂" * 40, "x" * 5000, [], {}, [[]], [None] * 60, {"": {"": {}}},
    "hello", "start", "auto", float("nan"), float("inf"), json.loads("[" * 40 + "]" * 40),
)  # fmt: skip
_SPLICES: Final = (
    b"", b"\0", b"{", b"}", b"[" * 50, b'"', b"\\", b"\\ud800", b",", b"\xff\xfe", b"\xef\xbb\xbf",
    b"1e999", b"NaN", b"-", b"9" * 400, b"\r\n", b"%00", b"null",
)  # fmt: skip


class Dice:
    """Decide by the bytes of an input, one after the other; by zeros after its end."""

    def __init__(self, data: bytes) -> None:
        """Read `data`."""
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return max(0, len(self._data) - self._at)

    def below(self, limit: int) -> int:
        """Give a number from 0 to `limit` - 1."""
        width = 1 if limit <= 256 else 4
        return int.from_bytes(self.some(width), "big") % limit

    def some(self, count: int) -> bytes:
        """Give the next bytes; fewer at the end."""
        self._at += count
        return self._data[self._at - count : self._at]

    def pick(self, choices: Sequence[T]) -> T:
        """Give one of some things."""
        return choices[self.below(len(choices))]

    def rarely(self, one_in: int) -> bool:
        """Be true once in so many times, and never after the end."""
        return self.below(one_in) == one_in - 1


def message(dice: Dice) -> bytes:
    """Write a message of a device's as JSON, changed or not: its values first, then its bytes."""
    value = deepcopy(dice.pick(MESSAGES))
    for _ in range(dice.below(4)):
        _change(value, dice)
    text = json.dumps(value, ensure_ascii=bool(dice.below(2))).encode("utf-8", "surrogatepass")
    return garbled(text, dice) if dice.rarely(4) else text


def garbled(data: bytes, dice: Dice) -> bytes:
    """Cut something out of `data`, put something into it, or repeat a part."""
    for _ in range(1 + dice.below(3)):
        start = dice.below(len(data) + 1)
        end = min(len(data), start + dice.below(8))
        match dice.below(4):
            case 0:
                data = data[:start] + dice.pick(_SPLICES) + data[end:]
            case 1:
                data = data[:start] + dice.some(1 + dice.below(4)) + data[end:]
            case 2:
                data = data[:start]
            case _:
                data = data[:end] + data[start:]
    return data


def _change(value: dict[str, Any], dice: Dice) -> None:
    """Change a field, in the message or in an object within it."""
    inner = [field for field in value.values() if isinstance(field, dict)]
    into = dice.pick([value, *inner])
    key = dice.pick([*into, *HELLO, "state", "mode", "text", "content", "action"])
    if dice.rarely(4):
        into.pop(key, None)
    else:
        into[key] = deepcopy(dice.pick(ODD))
