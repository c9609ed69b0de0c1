"""WebSocket frames as a load client needs them: built once, sent often; read with little work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_MASKED: Final = 0x80
_KEY: Final = bytes(4)
"""A mask of zeros: the payload stays as it is, and a frame can be sent by many devices."""


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """Build a client's frame: final, masked. `payload` is at most 65535 bytes."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, _MASKED | size))
    else:
        head = bytes((0x80 | opcode, _MASKED | 126)) + size.to_bytes(2, "big")
    return head + _KEY + payload


class Reader:
    """Cut what a server sends into frames. They are never fragmented: ours does not do it."""

    def __init__(self) -> None:
        """Begin between two frames."""
        self._data = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the next bytes; yield (opcode, payload) of each frame they complete."""
        data = self._data + data if self._data else data
        at, end = 0, len(data)
        while end - at >= 2:
            size, begin = data[at + 1], at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size = int.from_bytes(data[begin : begin + width], "big")
                begin += width
                if begin > end:
                    break
            if begin + size > end:
                break
            yield data[at] & 0x0F, data[begin : begin + size]
            at = begin + size
        self._data = data[at:]
