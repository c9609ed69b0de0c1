"""`wire`: whatever a frame has in it, it is understood, or it is a `BadMessage`."""

from __future__ import annotations

import struct

from tests.fuzz.dice import Dice, garbled, message
from xiaozhi import messages, wire
from xiaozhi.errors import BadMessage


def one(data: bytes) -> None:
    """Decode a frame; raise whatever it raises that it should not."""
    dice = Dice(data)
    match dice.below(8):
        case 0:
            _decode(dice.some(dice.left), None)
        case 1:
            _decode(dice.some(dice.left), dice.below(4))
        case 2 | 3:
            _decode(framed(dice), 2 + dice.below(2))
        case _:
            _decode(message(dice), None)


def framed(dice: Dice) -> bytes:
    """Put a message, or bytes, behind a header that may be right."""
    body = message(dice) if dice.below(2) else dice.some(dice.below(64))
    size = len(body) + dice.pick((0, 0, 0, -1, 1, 65535))
    kind = dice.pick((0, 1, 1, 2, 255))
    if dice.below(2):
        frame = struct.pack(">HHIII", dice.below(4), kind, 0, dice.below(2**32), size % 2**32)
    else:
        frame = struct.pack(">BBH", kind, 0, size % 2**16)
    return garbled(frame + body, dice) if dice.rarely(4) else frame + body


def _decode(payload: bytes, version: int | None) -> None:
    """Decode text (no version) or a binary frame, and check what is promised of a hello."""
    try:
        if version is None:
            told = wire.decode_text(payload)
        else:
            told = wire.decode_binary(payload, version)
    except BadMessage as error:
        str(error).encode("utf-8", "strict")  # it goes into the log
        return
    if isinstance(told, messages.Hello):
        audio = told.audio
        numbers = (audio.sample_rate, audio.channels, audio.frame_duration, told.version or 1)
        assert all(type(number) is int and 0 <= number < 2**31 for number in numbers), numbers
    elif isinstance(told, messages.Sound):
        assert len(told.packet) <= len(payload)
