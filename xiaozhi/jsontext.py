"""JSON as devices write it: read no deeper than anybody needs, and mended where firmware breaks it.

Nothing but `BadMessage` is ever raised here.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from xiaozhi.errors import BadMessage

DEEPEST = 32
"""Levels of arrays and objects in a message; what is deeper is refused unread."""

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OPENING = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_ERROR = re.compile(
    rb'\{"session_id":"[^"]*+","type":"mcp","payload":\{"jsonrpc":"2\.0","id":(\d{1,10}),'
    rb'"error":\{"message":"(.*)"\}\}\}',
    re.DOTALL,
)
"""A tool's error, as the firmware writes it: what the text has in quotes ends the JSON."""


def read(payload: bytes) -> Any:
    """Read a JSON text. What is not UTF-8 in it is read with replacement characters."""
    if deeper(payload):
        raise BadMessage(f"nested deeper than {DEEPEST} levels")
    try:
        return msgspec.json.decode(payload.decode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError) as error:
        if (broken := _ERROR.fullmatch(payload)) is None:
            raise BadMessage(f"not JSON: {error}") from error
    number, why = broken.groups()
    reply = {"jsonrpc": "2.0", "id": int(number)}
    return {
        "type": "mcp",
        "payload": reply | {"error": {"message": why.decode("utf-8", "replace")}},
    }


def deeper(payload: bytes, levels: int = DEEPEST) -> bool:
    """Say whether a JSON text nests deeper than `levels`, without a step per character.

    Each pass takes the innermost pairs of brackets away. Where they do not match, the text is
    no JSON anyway.
    """
    if payload.count(b"[") + payload.count(b"{") <= levels:
        return False
    brackets = _TEXT.sub(b"", payload).translate(_OPENING, _NO_BRACKETS)
    for _ in range(levels):
        before, brackets = len(brackets), brackets.replace(b"[]", b"")
        if len(brackets) == before:
            break  # nothing is left, or nothing that matches
    return bool(brackets)
