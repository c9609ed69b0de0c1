"""Reading: YAML nodes and the environment become settings, and what is wrong is noted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, get_type_hints

import attrs
import msgspec
import yaml
from msgspec import inspect as types

from xiaozhi import kinds, manual, yamltext
from xiaozhi.mistakes import Mistake, Said, Words, why, words
from xiaozhi.yamltext import Wrong

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_]\w*)(?::-([^{}]*))?\})?", re.ASCII)
_LISTS = (types.ListType, types.VarTupleType, types.SetType, types.FrozenSetType)
_NUMBERS = (types.BoolType, types.IntType, types.FloatType)


class Problem(NamedTuple):
    """Something wrong."""

    line: int | None
    """The first is 1; None if it is nowhere in the file."""
    key: str
    """Dotted; "" if it is the file itself."""
    what: Said


class Entry(NamedTuple):
    """What a mapping has under one key."""

    line: int
    node: yaml.Node


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Put the environment in the place of `${NAME}` and `${NAME:-text}`; `$${` is `${`.

    Raises Mistake if a variable is missing or the form is another.
    """

    def found(match: re.Match[str]) -> str:
        name, otherwise = match.groups()
        if match.group() == "$${":
            return "${"
        if name is None:
            raise Mistake("odd_variable")
        if otherwise is not None:
            return environ.get(name) or otherwise
        if name not in environ:
            raise Mistake("no_variable", name=name)
        return environ[name]

    expanded = _VARIABLE.sub(found, text)
    # Neither file names nor messages can hold these: NUL, and half a surrogate pair.
    if re.search("[\0\ud800-\udfff]", expanded):
        raise Mistake("no_text_character")
    return expanded


@attrs.frozen
class Reading:
    """One reading of a configuration. It goes on after a problem, to find them all."""

    environ: Mapping[str, str]
    problems: list[Problem] = attrs.field(factory=list)

    def wrong(self, line: int | None, key: str, what: Said) -> None:
        """Note a problem."""
        self.problems.append(Problem(line, key, what))

    def struct(
        self, cls: type[msgspec.Struct], node: yaml.Node | None, key: str, line: int | None
    ) -> Any:
        """Make a `cls` of a mapping, absent and empty keys taking their defaults.

        `line` is where it is, or would be. Returns None if a problem was noted.
        """
        before = len(self.problems)
        settings = self._filled(cls, self._entries(node, key), key, line)
        return settings if len(self.problems) == before else None

    def _filled(
        self,
        cls: type[msgspec.Struct],
        entries: Mapping[str, Entry],
        key: str,
        line: int | None,
    ) -> Any:
        before = len(self.problems)
        values = self._values(cls, entries, key, line)
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except ValueError as error:
            self.wrong(line, key, why(error))
            return None

    def _values(
        self,
        cls: type[msgspec.Struct],
        entries: Mapping[str, Entry],
        key: str,
        line: int | None,
        whole: bool = True,
    ) -> dict[str, Any]:
        """Tell the values of the fields of `cls`; unless it is the `whole`, of those given only."""
        fields = manual.fields(cls)
        hints = get_type_hints(cls, include_extras=True)
        self._refuse_unknown(entries, [field.encode_name for field in fields], key)
        values = {}
        for field in fields:
            if not whole and field.encode_name not in entries:
                continue
            at, node = entries.get(field.encode_name, (line, None))
            path = join(key, field.encode_name)
            try:
                values[field.name] = self._field(field, hints[field.name], node, path, at)
            except Wrong as error:
                self.wrong(error.line or at, path, error.why)
        return values

    def _refuse_unknown(self, entries: Mapping[str, Entry], known: list[str], key: str) -> None:
        for name, entry in entries.items():
            if name not in known:
                what = words("unknown_key", meant=meant(name, known))
                self.wrong(entry.line, join(key, name), what)

    def _entries(self, node: yaml.Node | None, key: str) -> dict[str, Entry]:
        """Tell what a mapping has under its keys; what is empty is left out."""
        found: dict[str, Entry] = {}
        if node is None or is_empty(node):
            return found
        if not isinstance(node, yaml.MappingNode):
            instead = words("list" if isinstance(node, yaml.SequenceNode) else "single")
            self.wrong(yamltext.line(node), key, words("no_mapping", instead=instead))
            return found
        for name, content in node.value:
            line = yamltext.line(name)
            if not isinstance(name, yaml.ScalarNode) or not yamltext.is_text(name):
                self.wrong(line, key, words("key_no_text"))
            elif name.value in found:
                what = words("twice", line=found[name.value].line)
                self.wrong(line, join(key, name.value), what)
            else:
                found[name.value] = Entry(line, content)
        return {name: entry for name, entry in found.items() if not is_empty(entry.node)}

    def _field(
        self, field: types.Field, hint: Any, node: yaml.Node | None, key: str, line: int | None
    ) -> Any:
        """Tell the value of a field; raises Wrong, or notes what is wrong further down."""
        kind = kinds.bare(field.type)
        if isinstance(kind, types.StructType):
            return self.struct(kind.cls, node, key, line)
        if isinstance(each := kinds.named(kind), types.StructType) and node is not None:
            return self._named(each.cls, node, key)
        item = kinds.bare(getattr(kind, "item_type", kind))
        if isinstance(item, types.StructType) and node is not None:
            return self._structs(item.cls, node, key)
        value = None if node is None else self._plain(node, kind, key)
        if value is None:
            value = manual.default(field)
            if value is msgspec.NODEFAULT:
                raise Wrong(None, words("required"))
            expanded = self._expanded(value)
            return value if expanded == value else _checked(field, hint, expanded)
        if isinstance(kind, _LISTS) and not isinstance(value, list):
            value = [value]
        return _checked(field, hint, value)

    def _structs(self, cls: type[msgspec.Struct], node: yaml.Node, key: str) -> tuple[Any, ...]:
        """Make a `cls` of each item of a list, noting what is wrong with it."""
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return tuple(self.struct(cls, item, key, yamltext.line(item)) for item in items)

    def _named(self, cls: type[msgspec.Struct], node: yaml.Node, key: str) -> dict[str, Any]:
        """Make a `cls` of what a mapping has under each of its keys."""
        return {
            name: self.struct(cls, entry.node, join(key, name), entry.line)
            for name, entry in self._entries(node, key).items()
        }

    def _plain(self, node: yaml.Node, kind: types.Type, key: str) -> Any:
        """Tell the Python value of `node`, which should be of a `kind`; raises Wrong."""
        if isinstance(node, yaml.MappingNode):
            inner = kinds.bare(getattr(kind, "value_type", types.AnyType()))
            return {
                name: self._plain(entry.node, inner, key)
                for name, entry in self._entries(node, key).items()
            }
        inner = kinds.bare(getattr(kind, "item_type", kind))
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, inner, key) for item in node.value]
        assert isinstance(node, yaml.ScalarNode)
        try:
            value = yamltext.value(node.value, node.tag)
            if isinstance(value, str):
                expanded = expand(value, self.environ)
                # Unquoted, and where no text can be: then the environment's is a number.
                if expanded != value and node.style is None and not _takes_text(inner):
                    return yamltext.value(expanded, yamltext.tag_of(expanded))
                return expanded
        except ValueError as error:
            raise Wrong(yamltext.line(node), why(error)) from None
        return value

    def _expanded(self, value: Any) -> Any:
        if isinstance(value, str):
            try:
                return expand(value, self.environ)
            except ValueError as error:
                raise Wrong(None, why(error)) from None
        if isinstance(value, tuple | list):
            return type(value)(self._expanded(item) for item in value)
        if isinstance(value, dict):
            return {name: self._expanded(item) for name, item in value.items()}
        return value


def _checked(field: types.Field, hint: Any, value: Any) -> Any:
    """Convert `value` to the type of `field`; raises Wrong."""
    try:
        converted = msgspec.convert(value, hint)
        extra = field.type.extra if isinstance(field.type, types.Metadata) else None
        if extra and "check" in extra:
            extra["check"](converted)
    except msgspec.ValidationError:
        raise Wrong(None, _mismatch(kinds.bare(field.type), value)) from None
    except ValueError as error:
        raise Wrong(None, why(error)) from None
    return converted


def _mismatch(kind: types.Type, value: Any) -> Words:
    """Say what a value of `kind` must be, and what sort of thing `value` is instead."""
    wanted, sort = kinds.describe(kind), kinds.sort(value)
    right_type = (
        str(wanted).startswith(str(sort))
        or (isinstance(kind, types.FloatType) and sort == kinds.sort(0))
        or (isinstance(kind, types.LiteralType) and type(value) is type(kind.values[0]))
    )
    quotes = isinstance(kind, types.StrType) and isinstance(value, int | float)
    return words(
        "mismatch",
        wanted=wanted,
        instead="" if right_type else words("instead", sort=sort),
        quotes=words("quotes") if quotes else "",
    )


def _takes_text(kind: types.Type) -> bool:
    if isinstance(kind, types.UnionType):
        return any(_takes_text(choice) for choice in kind.types)
    if isinstance(kind, types.LiteralType):
        return any(isinstance(value, str) for value in kind.values)
    return not isinstance(kind, _NUMBERS)


def is_empty(node: yaml.Node) -> bool:
    """Say whether there is nothing where a value could be."""
    return isinstance(node, yaml.ScalarNode) and node.tag == yamltext.NULL


def join(key: str, name: str) -> str:
    """Tell the whole name of what is under a key; a name that may be anything is not shown."""
    shown = name if NAME.fullmatch(name) else "..."
    return f"{key}.{shown}" if key else shown


def meant(name: str, known: Iterable[str]) -> Words | str:
    """Ask whether another name was meant, if one of those `known` is like it."""
    close = difflib.get_close_matches(name, list(known), 1)
    return words("meant", name=close[0]) if close else ""
