"""Tools and their results, as a device's MCP writes them -> as the house knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

import attrs
import msgspec

from xiaozhi.errors import BadMessage
from xiaozhi.jsontext import read
from xiaozhi.tooling import Outcome, Picture

FAILED: Final = "MCP工具调用失败"
"""How the model is told that a call failed, whatever comes after it."""

_NAME: Final = 128
"""Characters of a tool's name."""
_DESCRIPTION: Final = 2000
"""Characters of a description that are kept."""
_SCHEMA: Final = 8000
"""Bytes of a schema: the firmware writes a page of tools in as many."""
_NOTHING: Final = {"type": "object", "properties": {}}


@attrs.frozen
class Described:
    """A tool, as a device describes it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    user_only: bool
    size: int
    """Bytes it takes of what a model is told."""


_SHARED: Final[WeakValueDictionary[bytes, Described]] = WeakValueDictionary()
"""Descriptions in use: thousands of devices with one firmware hold one list of tools."""


def described(told: object) -> Described | None:
    """Read one tool of a list; None if it makes no sense, or is without measure."""
    match told:
        case {"name": str(name), **more} if 0 < len(name) <= _NAME:
            pass
        case _:
            return None
    schema = more.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        schema = _NOTHING
    size = len(msgspec.json.encode(schema))
    if size > _SCHEMA:
        return None
    description = more.get("description")
    description = description[:_DESCRIPTION] if isinstance(description, str) else ""
    notes = more.get("annotations")
    user_only = isinstance(notes, dict) and notes.get("audience") == ["user"]
    size += len(name) + len(description)
    one = Described(name, description, schema, user_only, size)
    return _SHARED.setdefault(msgspec.json.encode((name, description, schema, user_only)), one)


def outcome(result: object) -> Outcome:
    """Read the result of a call: texts, pictures, or whatever else it is."""
    match result:
        case {"content": list(content), **more}:
            pass
        case _:
            return Outcome(_written(result))
    texts: list[str] = []
    pictures: list[Picture] = []
    for item in content:
        match item:
            case {"type": "text", "text": text}:
                texts.append(_written(text))
            case {"type": "image"} if (picture := _picture(item)) is not None:
                pictures.append(picture)
            case {"type": "image"}:
                texts.append("(an image that cannot be read)")
            case _:
                texts.append(_written(item))
    text = "\n".join(texts)
    if more.get("isError") is True:  # py-xiaozhi's way; the firmware replies with an error
        return Outcome(f"{FAILED}: {text or 'no reason was given'}", failed=True)
    return Outcome(text, pictures=tuple(pictures), whole=is_shown(text))


def is_shown(text: str) -> bool:
    """Say whether a result is JSON whose `action` is show_result: the model is told all of it."""
    if not text.lstrip().startswith("{") or '"show_result"' not in text:
        return False
    try:
        told = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # of msgspec, and of half a surrogate pair
        return False
    return isinstance(told, dict) and told.get("action") == "show_result"


def _written(value: object) -> str:
    """Write a value for the model; texts as they are."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _picture(item: Mapping[str, Any]) -> Picture | None:
    """Read an image: standard, or as the firmware has it, JSON in a text of the same name."""
    inner = item.get("image")
    if isinstance(inner, str):
        try:
            inner = read(inner.encode())
        except BadMessage:
            return None
    match inner if isinstance(inner, dict) else item:
        case {"mimeType": str(mime), "data": str(data)} if mime.startswith("image/"):
            return Picture.read(mime, data)
    return None
