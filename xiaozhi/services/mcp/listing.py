"""Long lists of tools: packed so that the official client is soon done with them, and unpacked.

It checks each list on the reactor, every value in every schema: 6 ms for half a megabyte. A schema
that is one text takes no time, so a list that is parsed in a thread is packed there. Over HTTP the
client parses what comes itself, and nothing is packed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
from mcp_types import Tool as Listed

PAGE: Final = 256
"""Tools of a long page that are kept."""

_PACKED: Final = "x-xiaozhi-packed"
"""In the place of a schema: its JSON, or "" if it is too long."""
_DESCRIPTION: Final = 2000
"""Characters of a tool's description."""
_SCHEMA: Final = 16_384
"""Bytes of a tool's schema."""


@attrs.frozen
class Offered:
    """A tool that a server has."""

    name: str
    description: str
    schema: Mapping[str, Any] | None
    """None if it is too long."""


def pack(result: dict[str, Any]) -> None:
    """Pack the result of a request, if it is a list of tools: for a thread."""
    tools = result.get("tools")
    if isinstance(tools, list):
        result["tools"] = [_packed(tool) for tool in tools[:PAGE]]


def offered(listed: Sequence[Listed]) -> list[Offered]:
    """Take what is of use from lists, packed or not: for a thread."""
    return [_offered(tool) for tool in listed]


def _packed(tool: object) -> dict[str, Any]:
    """Pack one. Of what is no tool nothing is left, which the client will not like either."""
    if not isinstance(tool, dict) or not isinstance(tool.get("inputSchema"), dict):
        return {}
    kept = {key: tool[key] for key in ("name", "title") if key in tool}
    if isinstance(description := tool.get("description"), str):
        kept["description"] = description[:_DESCRIPTION]
    schema = msgspec.json.encode(tool["inputSchema"])
    text = schema.decode() if len(schema) <= _SCHEMA else ""
    return kept | {"inputSchema": {"type": "object", _PACKED: text}}


def _offered(tool: Listed) -> Offered:
    schema: dict[str, Any] | None = tool.input_schema
    packed = tool.input_schema.get(_PACKED)
    if isinstance(packed, str):  # by us, or by who means to confuse us
        try:
            schema = msgspec.json.decode(packed, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError):
            schema = None
    elif len(msgspec.json.encode(schema)) > _SCHEMA:
        schema = None
    description = (tool.description or tool.title or tool.name)[:_DESCRIPTION]
    return Offered(tool.name, description, schema)
