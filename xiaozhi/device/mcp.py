"""The tools of the device, and its answers to the server that calls them (MCP).

The firmware's own dialect, faults and all: what it does not like it does not answer, its
errors have no code, and it does not escape their text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

PAGE: Final = 8000
"""A page of the list of tools holds no more bytes than this."""

_TYPES: Final[Mapping[str, type]] = {"boolean": bool, "integer": int, "string": str}


class ToolError(Exception):
    """A tool says that it failed; `str()` is told to the server."""


@attrs.frozen
class Tool:
    """One thing the device can do. `call` takes the arguments; None means: never answer.

    A Deferred is waited for, and the device does nothing else meanwhile.
    """

    name: str
    description: str
    call: Callable[[dict[str, Any]], Any]
    properties: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict[str, Any])
    """JSON Schema by argument; one with a `default` need not be given."""
    user_only: bool = False

    def described(self) -> dict[str, Any]:
        """Describe the tool as `tools/list` does."""
        required = [name for name, schema in self.properties.items() if "default" not in schema]
        schema = {"type": "object", "properties": dict(self.properties)}
        if required:
            schema["required"] = required
        about = {"name": self.name, "description": self.description, "inputSchema": schema}
        return about | ({"annotations": {"audience": ["user"]}} if self.user_only else {})

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Choose and check the arguments. Raises ToolError."""
        chosen: dict[str, Any] = {}
        for name, schema in self.properties.items():
            value: Any = given.get(name)
            kind = str(schema["type"])
            if kind == "integer" and isinstance(value, float):
                value = int(value)
            # In Python, not in JSON, a truth value is a number too.
            if isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "boolean"):
                if kind == "integer":
                    _in_range(name, value, schema)
                chosen[name] = value
            elif "default" in schema:
                chosen[name] = schema["default"]
            else:
                raise ToolError(f"Missing valid argument: {name}")
        return chosen


def _in_range(name: str, value: Any, schema: Mapping[str, Any]) -> None:
    if value < schema.get("minimum", value):
        raise ToolError(f"Value of {name} is below minimum allowed: {schema['minimum']}")
    if value > schema.get("maximum", value):
        raise ToolError(f"Value of {name} exceeds maximum allowed: {schema['maximum']}")


class Server:
    """Answer the JSON-RPC requests of the server."""

    def __init__(self, tools: Sequence[Tool] | None = None, board: str = "xiaozhi-sim") -> None:
        """Offer `tools`; without them, what every board has."""
        self._tools = {tool.name: tool for tool in (common_tools() if tools is None else tools)}
        self._board = board
        self.vision: dict[str, Any] = {}
        """Where the server wants pictures sent: its `url` and `token`."""
        self.held: list[str] | None = None
        """While a tool works: the messages that came meanwhile."""

    def add(self, tool: Tool) -> None:
        """Offer one more tool."""
        self._tools[tool.name] = tool

    def answer(self, payload: object) -> str | Deferred[str] | None:
        """Answer one request with JSON text (that may be broken, as above), or with nothing."""
        params: Any
        number: Any
        match payload:
            case {"jsonrpc": "2.0", "method": str(method), **rest}:
                params, number = rest.get("params", {}), rest.get("id")
            case _:
                return None
        numeric = isinstance(number, int | float) and not isinstance(number, bool)
        if method.startswith("notifications") or not isinstance(params, dict) or not numeric:
            return None
        number = int(number)
        try:
            result = self._result(method, params)
        except ToolError as error:
            return _refused(number, error)
        if isinstance(result, Deferred):
            return result.addCallbacks(
                lambda value: _replied(number, _content(value)),
                lambda failure: _refused(number, _told(failure)),
            )
        return None if result is None else _replied(number, result)

    def _result(self, method: str, params: dict[str, Any]) -> Any:
        if method == "initialize":
            match params:
                case {"capabilities": {"vision": {"url": str(url), **more}}}:
                    self.vision = {"url": url, "token": more.get("token", "")}
            about = {"name": self._board, "version": "2.4.2"}
            return {
                "protocolVersion": "2024-11-05",
                "capabilities": {"tools": {}},
                "serverInfo": about,
            }
        if method == "tools/list":
            with_user = params.get("withUserTools") is True
            return self._page(str(params.get("cursor") or ""), with_user)
        if method == "tools/call":
            return self._call(params)
        raise ToolError(f"Method not implemented: {method}")

    def _page(self, cursor: str, with_user: bool) -> dict[str, Any]:
        shown = [tool for tool in self._tools.values() if with_user or not tool.user_only]
        names = [tool.name for tool in shown]
        if cursor and cursor not in names:
            raise ToolError(f"Unknown cursor: {cursor}")
        page: list[dict[str, Any]] = []
        size = 30
        for tool in shown[names.index(cursor) if cursor else 0 :]:
            described = tool.described()
            size += len(json.dumps(described, ensure_ascii=False).encode()) + 1
            if page and size > PAGE:
                return {"tools": page, "nextCursor": tool.name}
            page.append(described)
        return {"tools": page}

    def _call(self, params: dict[str, Any]) -> Any:
        name, given = params.get("name"), params.get("arguments", {})
        if not isinstance(name, str):
            raise ToolError("Missing name")
        if not isinstance(given, dict):
            raise ToolError("Invalid arguments")
        tool = self._tools.get(name)
        if tool is None:
            raise ToolError(f"Unknown tool: {name}")
        value = tool.call(tool.arguments(given))
        return value if value is None or isinstance(value, Deferred) else _content(value)


def _content(value: Any) -> dict[str, Any]:
    """Make a result of what a tool gives."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "isError": False}


def _told(failure: Failure) -> ToolError:
    """Give what a tool says of its failure; others are faults of ours."""
    if not isinstance(failure.value, ToolError):
        failure.raiseException()
    return failure.value


def _replied(number: int, result: dict[str, Any]) -> str:
    text = json.dumps(result, ensure_ascii=False)
    return f'{{"jsonrpc":"2.0","id":{number},"result":{text}}}'


def _refused(number: int, error: ToolError) -> str:
    return f'{{"jsonrpc":"2.0","id":{number},"error":{{"message":"{error}"}}}}'


def common_tools() -> list[Tool]:
    """Make the tools of an ordinary board: they share its volume and its brightness."""
    status: dict[str, Any] = {
        "audio_speaker": {"volume": 70},
        "screen": {"brightness": 75, "theme": "light"},
        "battery": {"level": 80, "charging": False},
        "network": {"type": "wifi", "ssid": "simulated", "signal": "strong"},
    }

    def volume(arguments: dict[str, Any]) -> bool:
        status["audio_speaker"]["volume"] = arguments["volume"]
        return True

    def brightness(arguments: dict[str, Any]) -> bool:
        status["screen"]["brightness"] = arguments["brightness"]
        return True

    percent = {"type": "integer", "minimum": 0, "maximum": 100}
    return [
        Tool(
            "self.get_device_status",
            "Tell the present state of the device: volume, screen, battery, network. "
            "Ask this first before changing any of it.",
            lambda _: status,
        ),
        Tool(
            "self.audio_speaker.set_volume",
            "Set the volume of the loudspeaker, 0 to 100.",
            volume,
            {"volume": percent},
        ),
        Tool(
            "self.screen.set_brightness",
            "Set the brightness of the screen, 0 to 100.",
            brightness,
            {"brightness": percent},
        ),
        Tool(
            "self.get_system_info",
            "Tell what the device is made of.",
            lambda _: {"chip": "simulated", "version": "2.4.2"},
            user_only=True,
        ),
    ]
