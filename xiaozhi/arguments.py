"""The arguments of a call: read however a model wrote them, and fitted to the tool's schema.

Nothing is guessed. What can have one meaning only is taken for that; what is wrong beyond it is
said in words with which the model can do better. Of JSON Schema the part is known that tools
use: types, required, enum, minimum and maximum, objects and arrays; the rest is not checked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence, ValuesView
from typing import Any, Final

from xiaozhi.laxjson import LONGEST, Unreadable, read, read_at

FAILED: Final = "参数解析失败"
"""How every complaint begins."""
MOST: Final = 300
"""Values in the arguments of a call. Each takes some microseconds to fit, and no tool wants more:
what has more is a model that repeats itself."""
_LONGEST: Final = 600
_OBJECT: Final = "the arguments must be one JSON object"
_FOUND: Final = {str: "text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
_WHOLE: Final = re.compile(r"\s*([+-]?[0-9]{1,18})(?:\.0*)?\s*")
_REAL: Final = re.compile(
    r"\s*[+-]?(?:[0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?\s*"
)


class BadArguments(ValueError):
    """The arguments cannot be understood, or do not fit; `str()` is for the model."""


class _Unfit(Exception):
    """A value does not fit; `str()` says what it must be."""


def understood(raw: object, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call as the schema has them; raise BadArguments.

    >>> understood("{'level': '5',}", {"properties": {"level": {"type": "integer"}}})
    {'level': 5}
    """
    try:
        given = _mapping(raw)
    except Unreadable as error:
        raise BadArguments(f"{FAILED}: {_OBJECT}: {error}"[:_LONGEST]) from error
    problems: list[str] = []
    fitted = _members(given, schema, "", problems)
    if problems:
        raise BadArguments(f"{FAILED}: {'; '.join(problems)}"[:_LONGEST])
    return fitted


def _large(given: Mapping[str, Any]) -> bool:
    """Say whether there are more than so many values in an object."""
    waiting: list[Any] = [given]
    found = 0
    while waiting:
        value = waiting.pop()
        inside = value.values() if isinstance(value, Mapping) else value
        if not isinstance(inside, list | ValuesView):
            continue
        found += len(inside)
        if found > MOST:
            return True
        waiting.extend(inside)
    return False


def _mapping(raw: object) -> Mapping[str, Any]:
    """Read the arguments: an object, or its JSON, or the JSON of its JSON; or nothing."""
    for times in range(3):
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            return {}
        if isinstance(raw, Mapping):
            if _large(raw):
                raise Unreadable(f"it has more than {MOST} values")
            return raw if times else _plain(raw)
        if not isinstance(raw, str):
            break
        raw = _value(raw)
    raise Unreadable(f"found {_FOUND.get(type(raw), 'something else')}")


def _plain(given: Mapping[Any, Any]) -> Mapping[str, Any]:
    """Return an object as it is once it was JSON: with text that can be sent, and not too deep."""
    try:
        plain: Any = read(json.dumps(dict(given)))
    except (TypeError, RecursionError) as error:
        raise Unreadable("it is no JSON") from error
    return plain if isinstance(plain, dict) else {}


def _value(text: str) -> object:
    """Read a value; where there is something around it, that one object that is in it."""
    try:
        return read(text)
    except Unreadable:
        start = text.find("{")
        if start < 0 or len(text) > LONGEST:
            raise
    value, end = read_at(text, start)
    if "{" in text[end:]:
        raise Unreadable("there are several objects")
    return value


def _members(
    given: Mapping[str, Any], schema: Mapping[str, Any], path: str, problems: list[str]
) -> dict[str, Any]:
    """Fit the members of an object; note what is wrong with them."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return dict(given)
    fitted = {}
    for name, value in given.items():
        if name not in properties:
            if schema.get("additionalProperties"):
                fitted[name] = value
            continue
        told = properties[name]
        about = told if isinstance(told, Mapping) else {}
        if value is None and not _allows_null(about):
            continue  # how models leave out what they need not say
        fitted[name] = _fitted(value, about, f"{path}{name}", problems)
    for name in _listed(schema, "required"):
        if isinstance(name, str) and name not in fitted:
            problems.append(f"the argument {path}{name} is missing")
    return fitted


def _fitted(value: Any, schema: Mapping[str, Any], path: str, problems: list[str]) -> Any:
    """Fit one value; note what is wrong with it."""
    try:
        value = _one_of(_typed(value, schema), schema)
        _bounded(value, schema)
    except _Unfit as error:
        shown = json.dumps(value, ensure_ascii=False, default=str)
        problems.append(f"{path} must be {error}, not {shown[:60]}")
        return value
    if isinstance(value, Mapping):
        return _members(value, schema, f"{path}.", problems)
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, Mapping):
        return [
            _fitted(item, items, f"{path}[{number}]", problems) for number, item in enumerate(value)
        ]
    return value


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """Make of a value one of the type the schema wants; raise _Unfit."""
    types = _types(schema)
    known = [name for name in types if isinstance(name, str) and name in _READERS]
    if len(known) < len(types) or not known:
        return value
    if any(_is(value, name) for name in known):
        return value
    for name in known:
        made = _READERS[name](value)
        if made is not None:
            return made
    raise _Unfit(" or ".join(map(str, known)))


def _types(schema: Mapping[str, Any]) -> Sequence[Any]:
    told = schema.get("type")
    return told if isinstance(told, list) else [] if told is None else [told]


def _allows_null(schema: Mapping[str, Any]) -> bool:
    types = _types(schema)
    return not types or "null" in types


def _is(value: Any, name: str) -> bool:
    """Say whether a value is of a type, as it is."""
    if isinstance(value, bool):
        return name == "boolean"
    if isinstance(value, float):
        return name == "number" and math.isfinite(value)
    return isinstance(value, _PYTHON[name])


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        match = _WHOLE.fullmatch(value)
        return int(match[1]) if match else None
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _real(value: Any) -> int | float | None:
    whole = _whole(value)
    if whole is None and isinstance(value, str) and _REAL.fullmatch(value):
        return float(value)
    return whole


def _flag(value: Any) -> bool | None:
    word = value.strip().lower() if isinstance(value, str) else ""
    return {"true": True, "false": False}.get(word)


def _text(value: Any) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(value) if number else None


def _nested(kind: type) -> Callable[[Any], Any]:
    """Read an object or a list that was written as text."""

    def reader(value: Any) -> Any:
        try:
            made = read(value) if isinstance(value, str) else None
        except Unreadable:
            return None
        return made if isinstance(made, kind) else None

    return reader


def _nothing(value: Any) -> None:
    """Make null of nothing but null."""


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "integer": _whole,
    "number": _real,
    "boolean": _flag,
    "array": _nested(list),
    "object": _nested(dict),
    "string": _text,
    "null": _nothing,
}
"""By type: makes of a value of another type the one that it means; None if it means none."""
_PYTHON: Final[Mapping[str, Any]] = {
    "integer": int,
    "number": int,
    "boolean": bool,
    "array": list,
    "object": Mapping,
    "string": str,
    "null": type(None),
}


def _one_of(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return that one of the enum which a value is, or which is meant by it; raise _Unfit."""
    choices = _listed(schema, "enum")
    if not choices or any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    plain = str(value).strip().casefold()
    meant = [choice for choice in choices if str(choice).casefold() == plain]
    if len(meant) == 1:
        return meant[0]
    raise _Unfit(f"one of {json.dumps(list(choices), ensure_ascii=False, default=str)[:300]}")


def _bounded(value: Any, schema: Mapping[str, Any]) -> None:
    """Raise _Unfit if a number is out of its range."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if isinstance(low, int | float) and value < low:
        raise _Unfit(f"at least {low}")
    if isinstance(high, int | float) and value > high:
        raise _Unfit(f"at most {high}")


def _listed(schema: Mapping[str, Any], name: str) -> Sequence[Any]:
    told = schema.get(name)
    return told if isinstance(told, list | tuple) else ()
