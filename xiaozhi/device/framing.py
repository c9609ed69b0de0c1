"""How the firmware frames Opus packets on its WebSocket.

Written from the firmware's side and apart from the server's own code, so that the one
proves the other. All integers are big-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from xiaozhi.device.errors import Crashed

_V2: Final = struct.Struct(">HHIII")  # version, type, reserved, timestamp in ms, size
_V3: Final = struct.Struct(">BBH")  # type, reserved, size


def pack(version: int, packet: bytes, timestamp: int = 0) -> bytes:
    """Frame one `packet`; any version but 2 and 3 means no header."""
    if version == 2:
        return _V2.pack(2, 0, 0, timestamp, len(packet)) + packet
    if version == 3:
        return _V3.pack(0, 0, len(packet)) + packet
    return packet


def unpack(version: int, message: bytes) -> tuple[bytes, int]:
    """Take a message apart as (packet, timestamp in ms, 0 where there is none).

    The firmware believes the header. Raises Crashed where it would read beyond the message.
    """
    if version not in (2, 3):
        return message, 0
    header = _V2 if version == 2 else _V3
    if len(message) < header.size:
        raise Crashed(f"a binary message of {len(message)} bytes has no room for its header")
    fields = header.unpack_from(message)
    size = fields[-1]
    if size > len(message) - header.size:
        raise Crashed(f"a binary message claims {size} bytes and has {len(message) - header.size}")
    return message[header.size : header.size + size], fields[3] if version == 2 else 0
