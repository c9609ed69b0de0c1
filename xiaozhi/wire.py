"""Bytes and JSON of devices on one side, the frozen `messages` on the other.

The protocol in one page. A device opens a WebSocket and says `hello`; it gets exactly one
`hello` back. From then on text frames carry JSON objects with a `type`, binary frames carry
one Opus packet each, behind the header of the version the device declared (integers are
big-endian):

======= ==========================================================================  ========
version layout                                                                      header
======= ==========================================================================  ========
1       packet                                                                      none
2       u16 version, u16 type, u32 reserved, u32 timestamp in ms, u32 size, packet  16 bytes
3       u8 type, u8 reserved, u16 size, packet                                      4 bytes
======= ==========================================================================  ========

`type` is 0 for Opus and 1 for JSON. What a device leaves out, or fills with nonsense where
the meaning does not depend on it, takes its default; what cannot be understood at all is a
`BadMessage`. Nothing else is ever raised here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

import msgspec

from xiaozhi import jsontext
from xiaozhi.errors import BadMessage
from xiaozhi.messages import (
    Abort,
    AudioParams,
    ConfigUpdate,
    Detect,
    Down,
    Hello,
    ListenStart,
    ListenStop,
    Mcp,
    Message,
    Mode,
    Number,
    Order,
    Other,
    Ping,
    Sound,
)

_V2 = struct.Struct(">HHIII")
_V3 = struct.Struct(">BBH")
_AUDIO, _JSON = 0, 1


# -- from the device --


def decode_text(payload: bytes) -> Message:
    """Understand one text frame. Text that is not UTF-8 is read with replacement characters."""
    value = jsontext.read(payload)
    if isinstance(value, int) and not isinstance(value, bool):
        return Number(value)
    if not isinstance(value, dict):
        raise BadMessage(f"a JSON object was expected, not {type(value).__name__}")
    kind = value.get("type")
    if not isinstance(kind, str):
        raise BadMessage("the field `type` is missing")
    read = _READERS.get(kind)
    return read(value) if read else Other(kind)


def decode_binary(payload: bytes, version: int) -> Message:
    """Understand one binary frame of a device that declared `version`."""
    if version == 2:
        return _unpack(payload, _V2, kind_at=1)
    if version == 3:
        return _unpack(payload, _V3, kind_at=0)
    return Sound(payload)


def _unpack(payload: bytes, header: struct.Struct, kind_at: int) -> Message:
    if not payload:
        return Sound(b"")
    if len(payload) < header.size:
        raise BadMessage(f"{len(payload)} bytes are too few for a header of {header.size}")
    fields = header.unpack_from(payload)
    body = payload[header.size :]
    if fields[-1] > len(body):
        raise BadMessage(f"the header announces {fields[-1]} bytes, {len(body)} came")
    body = body[: fields[-1]]
    if fields[kind_at] == _AUDIO:
        return Sound(body)
    if fields[kind_at] == _JSON:
        return decode_text(body)
    raise BadMessage(f"unknown kind of payload: {fields[kind_at]}")


def _hello(value: Mapping[str, Any]) -> Message:
    audio = value.get("audio_params")
    audio = audio if isinstance(audio, dict) else {}
    features = value.get("features")
    usual = AudioParams()
    return Hello(
        version=_integer(value.get("version"), None),
        audio=AudioParams(
            _string(audio.get("format")) or usual.format,
            _integer(audio.get("sample_rate"), usual.sample_rate),
            _integer(audio.get("channels"), usual.channels),
            _integer(audio.get("frame_duration"), usual.frame_duration),
        ),
        features=frozenset(
            name for name, on in (features if isinstance(features, dict) else {}).items() if on
        ),
    )


def _listen(value: Mapping[str, Any]) -> Message:
    state, mode = value.get("state"), value.get("mode") or None
    if state == "start":
        if mode not in (None, "auto", "manual", "realtime"):
            raise BadMessage("`mode` of `listen` must be auto, manual or realtime")
        return ListenStart(cast("Mode | None", mode))
    if state == "stop":
        return ListenStop()
    if state == "detect":
        return Detect(_string(value.get("text")))
    raise BadMessage("`state` of `listen` must be start, stop or detect")


def _mcp(value: Mapping[str, Any]) -> Message:
    """Read JSON-RPC, which some programs write as JSON within a string."""
    payload = value.get("payload")
    if isinstance(payload, str):
        with suppress(BadMessage):
            payload = jsontext.read(payload.encode())
    return Mcp(payload) if isinstance(payload, dict) else Other("mcp", known=True)


def _order(value: Mapping[str, Any]) -> Message:
    content = value.get("content")
    secret = content.get("secret") if isinstance(content, dict) else ""
    return Order(_string(value.get("action")), _string(secret))


def _known(kind: str) -> Callable[[Mapping[str, Any]], Message]:
    return lambda value: Other(kind, known=True)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Message]] = {
    "hello": _hello,
    "listen": _listen,
    "abort": lambda value: Abort(_string(value.get("reason"))),
    "ping": lambda value: Ping(),
    "keepalive": lambda value: Ping(),
    "server": _order,
    "config_update": lambda value: ConfigUpdate(),
    "mcp": _mcp,
} | {kind: _known(kind) for kind in ("iot", "goodbye", "ui.ack", "ui.error")}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: object, otherwise: Any) -> Any:
    """Take a positive number of 32 bits, else `otherwise` (booleans are not numbers here)."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**31:
        return int(value)
    return otherwise


# -- to the device --


def encode(message: Down, session_id: str) -> bytes:
    """Write `message` as the JSON text of a frame."""
    return msgspec.json.encode(
        {"type": message.TYPE, "session_id": session_id} | msgspec.to_builtins(message)
    )


def encode_binary(packet: bytes, version: int, timestamp: int = 0) -> bytes:
    """Frame one Opus packet for a device that declared `version`; `timestamp` in ms."""
    if version == 2:
        return _V2.pack(2, _AUDIO, 0, timestamp & 0xFFFFFFFF, len(packet)) + packet
    if version == 3:
        return _V3.pack(_AUDIO, 0, len(packet)) + packet
    return packet
