"""The forms in which models write calls of tools as text.

The text between two markers, or a value that stands by itself, is searched for calls: JSON of
many shapes, a name with JSON behind it, elements with parameters, and Python.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from xiaozhi.laxjson import Unreadable, past, read, read_at
from xiaozhi.tooling import Call, legal

NAMES: Final = (
    "name tool tool_name function function_name action recipient_name method intent".split()
)  # fmt: skip
"""Keys under which the name stands."""
ARGUMENTS: Final = (
    "arguments parameters params args kwargs input tool_input action_input slots".split()
)  # fmt: skip
WRAPPERS: Final = (
    "tool_calls",
    "tool_call",
    "function_call",
    "function_calls",
    "tool_uses",
    "function",
)
"""Keys under which a call stands, or several."""
BESIDE: Final = ("id", "type", "index", "call_id", "thought", "thoughts", "jsonrpc")
"""Keys that stand before those."""

_PREFIX: Final = r"(?:[|｜]DSML[|｜]|[a-z]{2,10}:)?"
_ELEMENT: Final = re.compile(
    rf"""(?xs) <{_PREFIX}(?:function|invoke)(?:=|\s+name\s*=\s*)["']?
    (?P<name>[\w.:-]+) ["']? [^<>]*> (?P<inside>.*?)
    (?: </{_PREFIX}(?:function|invoke)> | (?=<{_PREFIX}(?:function=|invoke\s)) | \Z )"""
)
_PARAMETER: Final = re.compile(
    rf"""(?xs) <{_PREFIX}parameter(?:=|\s+name\s*=\s*)["']?(?P<key>[\w.-]+)["']?[^<>]*>\n?
    (?P<value>.*?) \n?(?: </{_PREFIX}parameter> | (?=<{_PREFIX}parameter[=\s]) | \Z )"""
)
_CHILD: Final = re.compile(
    r"(?s)<(?P<key>[A-Za-z_][\w.-]*)[^<>]*>\s*(?P<value>.*?)\s*(?:</(?P=key)\s*>|\Z)"
)
_ATTRIBUTE: Final = re.compile(
    r"""\s(?P<key>[\w.-]+)\s*=\s*(?P<quote>["'])(?P<value>.*?)(?P=quote)"""
)
_TOOL: Final = re.compile(
    r"(?s)\s*<(?P<name>[\w.:-]+)(?P<tag>[^<>]*)(?:(?<=/)>|>(?P<inside>.*?)(?:</(?P=name)\s*>|\Z))"
)
_PAIR: Final = re.compile(
    r"(?s)<arg_key>\s*(?P<key>[^<]*?)\s*</arg_key>\s*<arg_value>\n?(?P<value>.*?)\n?(?:</arg_value>|\Z)"
)
_HEAD: Final = re.compile(r"\s*(?P<name>[A-Za-z_][\w.-]*)\s*<arg_key>")
_NAMED: Final = re.compile(
    r"""(?x)(?<![\w.-]) (?P<id>(?P<name>[A-Za-z_][\w.-]{0,80})(?::\d{1,4})?)
    (?:\s|<[^<>]{0,60}>(?:json)?|\[CALL_ID\]\w{0,40}|\[ARGS\]|`{3}\w{0,10})* (?={)"""
)
_ALONE: Final = re.compile(r"\s*`{0,3}(?P<name>[\w.:-]{1,90})`{0,3}\s*")
_VALUE: Final = re.compile(r"\{|\[\s*[{\[]")
_APPLIED: Final = re.compile(r"\s*\[?\s*(?:print\()?(?P<name>[A-Za-z_][\w.]*)\s*\(\s*")
_KEYWORD: Final = re.compile(r"(?P<key>[A-Za-z_]\w*)\s*=\s*")
_BETWEEN: Final = re.compile(r"[\s,;`}\])]*")
_COMMA: Final = re.compile(r"\s*,?\s*")
_FENCE: Final = re.compile(r"\s*(?:`{3}\w*\s*)?")
_CALLED: Final = re.compile(
    rf"""\b(?:{"|".join(NAMES)})["'“”‘’]?\s*[:：=]\s*["'“”‘’]?(?P<name>[\w.:-]+)"""
)
_MOST: Final = 100
"""Elements that are read, which is more than anybody calls at once."""
_NEAR: Final = 2000
"""Characters of what cannot be read within which a name is looked for."""
_GIVEN: Final = re.compile(rf"""\b(?:{"|".join(ARGUMENTS)})["'“”‘’]?\s*[:：=]\s*""")


def on_offer(name: str, names: Collection[str]) -> str:
    """Return which of the tools' `names` a name means; "" if none."""
    plain = (
        name.strip()
        .removeprefix("functions.")
        .removeprefix("default_api.")
        .removesuffix(".call")
        .partition(":")[0]
    )
    return next((known for known in (name, plain, legal(plain)) if known in names), "")


def calls_in(text: str, names: Collection[str], whole: bool = True) -> list[Call]:
    """Find the calls in what stood between two markers, where there is nothing else.

    What cannot be read is a call still if its name is known: with arguments that are text. In
    what is not `whole`, only those are found of which nothing can be missing.
    """
    if calls := list(islice(_elements(text, names), _MOST)):
        return calls if whole or text.rstrip().endswith((">", "}")) else []
    alone = _ALONE.fullmatch(text) if whole else None
    if alone and (name := on_offer(alone["name"], names)):
        return [Call("", name, {})]
    text = text[past(_FENCE, text, 0) :]
    find = _values if _VALUE.match(text) else _python if _APPLIED.match(text) else _after_names
    try:
        for call in find(text, names):
            calls.append(call)  # so that those before what cannot be read remain
    except Unreadable:
        pass
    return calls or (broken(text, names) if whole else [])


def element(
    name: str, tag: str, inside: str, names: Collection[str], whole: bool = True
) -> list[Call]:
    """Make the call of an element that has the `name` of a tool, of its `tag` and its inside."""
    text = inside[past(_FENCE, inside, 0) :].strip("` \t\n")
    if not whole and not text.endswith((">", "}")):
        return []
    if text and not text.startswith("<"):
        try:
            calls = shaped(read(text), names, marked=False)
        except Unreadable:
            calls = []
        same = calls and all(call.name == name for call in calls)
        return calls if same else [Call("", name, text)]
    for pattern, where in ((_PARAMETER, text), (_CHILD, text), (_ATTRIBUTE, tag)):
        if given := {match["key"]: match["value"] for match in pattern.finditer(where)}:
            break
    (key, value), *more = given.items() or [("", "")]
    wrapped = not more and key in ARGUMENTS and value.startswith("{")
    return [Call("", name, value if wrapped else given)]


def broken(text: str, names: Collection[str]) -> list[Call]:
    """Find the call of a tool that is known, in a text that cannot be read."""
    for pattern in (_CALLED, _NAMED, _APPLIED):
        for called in pattern.finditer(text, 0, _NEAR):
            if name := on_offer(called["name"], names):
                given = _GIVEN.search(text) if pattern is _CALLED else None
                return [Call("", name, text[(given or called).end() :].strip())]
    return []


def shaped(value: object, names: Collection[str], marked: bool) -> list[Call]:
    """Make calls of a value that has the shape of them; [] if it has not.

    Where it was not `marked` as a call, its name must be known, or its shape the very one.
    """
    if isinstance(value, list):
        found = [shaped(item, names, marked) for item in value]
        return [call for calls in found for call in calls] if all(found) else []
    if not isinstance(value, Mapping):
        return []
    for key in WRAPPERS:
        if isinstance(inner := value.get(key), Mapping | list):
            calls = shaped(inner, names, marked)
            own = value.get("id")
            if isinstance(own, str) and len(calls) == 1:
                return [Call(own, calls[0].name, calls[0].arguments)]
            return calls
    return _single(value, names, marked)


def _single(value: Mapping[str, Any], names: Collection[str], marked: bool) -> list[Call]:
    key = next((key for key in NAMES if isinstance(value.get(key), str)), "")
    given = next((key for key in ARGUMENTS if key in value), "")
    if not key:
        name, *more = value or [""]
        alone = not more and name in names and isinstance(value[name], Mapping)
        return [Call("", name, value[name])] if alone else []
    name = on_offer(value[key], names)
    if not name:
        exact = key in ("name", "tool") and given in ("arguments", "parameters")
        if not marked and not (exact and names and isinstance(value[given], Mapping)):
            return []
        name = value[key]
    own = next((value[key] for key in ("id", "call_id") if isinstance(value.get(key), str)), "")
    rest = {k: v for k, v in value.items() if k not in (key, *BESIDE)}
    return [Call(own, name, value[given] if given else rest)]


def _elements(text: str, names: Collection[str]) -> Iterator[Call]:
    """Read `<function=name>`, `<invoke name="name">` or `<name>` with parameters, or JSON."""
    for called in _ELEMENT.finditer(text):
        inside = called["inside"]
        arguments = {match["key"]: match["value"] for match in _PARAMETER.finditer(inside)}
        name = on_offer(called["name"], names) or called["name"]
        yield Call("", name, arguments or inside.strip())
    if head := _HEAD.match(text):
        pairs = {match["key"]: match["value"] for match in _PAIR.finditer(text)}
        yield Call("", on_offer(head["name"], names) or head["name"], pairs)
    at = 0
    while (tool := _TOOL.match(text, at)) and (name := on_offer(tool["name"], names)):
        yield from element(name, tool["tag"], tool["inside"] or "", names)
        at = tool.end()


def _values(text: str, names: Collection[str]) -> Iterator[Call]:
    """Read one value of JSON after the other."""
    at = 0
    while text[at : at + 1] in ("{", "["):
        value, end = read_at(text, at)
        yield from shaped(value, names, marked=True)
        at = past(_BETWEEN, text, end)


def _after_names(text: str, names: Collection[str]) -> Iterator[Call]:
    """Read names with an object behind each."""
    at = 0
    while named := _NAMED.search(text, at):
        arguments, at = read_at(text, named.end())
        name = on_offer(named["name"], names)
        if not name and (calls := shaped(arguments, names, marked=False)):
            yield from calls  # what stood there was the end of a sentence
            continue
        name = name or named["name"]
        yield Call(named["id"] if ":" in named["id"] else "", name, arguments)


def _python(text: str, names: Collection[str]) -> Iterator[Call]:
    """Read `name(key=value)`, one after the other, perhaps in a list."""
    at = 0
    while applied := _APPLIED.match(text, at):
        arguments: dict[str, Any] = {}
        at = applied.end()
        if text.startswith("{", at):
            arguments, at = read_at(text, at)
        while keyword := _KEYWORD.match(text, at):
            arguments[keyword["key"]], at = read_at(text, keyword.end())
            at = past(_COMMA, text, at)
        if not text.startswith(")", at):
            raise Unreadable("it has arguments without names")
        yield Call("", on_offer(applied["name"], names) or applied["name"], arguments)
        at = past(_BETWEEN, text, at)
