"""YAML text to nodes that know their lines.

A safe, small YAML: the types of its core schema (null, true and false, numbers, text, lists,
mappings) and nothing that a person reading the file could misread: `no` and `1:30` are text,
and there are no aliases, which also rules out endless and exploding documents.
"""

from __future__ import annotations

import math
import re

import yaml
from yaml.reader import ReaderError

from xiaozhi.mistakes import Mistake, Said, words

_DEPTH = 20
NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_STR = "tag:yaml.org,2002:str"
_LIST = "tag:yaml.org,2002:seq"
_MAPPING = "tag:yaml.org,2002:map"
_PLAIN = (
    (NULL, re.compile(r"~|null|Null|NULL|")),
    (_BOOL, re.compile(r"true|True|TRUE|false|False|FALSE")),
    (_INT, re.compile(r"[-+]?[0-9]+")),
    (_FLOAT, re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")),
)
_TAGS = {_STR, _LIST, _MAPPING, *(tag for tag, _ in _PLAIN)}

Scalar = str | int | float | bool | None


class Wrong(Exception):
    """The text is not what it should be at `line` (the first is 1), and `why`."""

    def __init__(self, line: int | None, why: Said) -> None:
        """Take the `line`, None if there is none, and `why`."""
        super().__init__(str(why))
        self.line = line
        self.why = why


class _Loader(yaml.SafeLoader):
    """Compose nodes without aliases, nested no deeper than any configuration is."""

    depth = 0

    def resolve(
        self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool
    ) -> str:
        if kind is yaml.ScalarNode:
            plain = implicit[0] if isinstance(implicit, tuple) else implicit
            return tag_of(value or "") if plain else _STR
        return _LIST if kind is yaml.SequenceNode else _MAPPING

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        at = self.peek_event().start_mark.line + 1
        if self.check_event(yaml.AliasEvent):
            raise Wrong(at, words("aliases"))
        if self.depth >= _DEPTH:
            raise Wrong(at, words("too_deep"))
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None and node.tag not in _TAGS:
            raise Wrong(at, words("tags"))
        return node


def compose(text: str) -> yaml.Node | None:
    """Parse `text`, None if it is empty; raises Wrong."""
    try:
        loader = _Loader(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Wrong(line, words("no_yaml_character")) from None
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise Wrong(mark.line + 1 if mark else None, words("not_yaml", why=what)) from None
    except (ValueError, OverflowError):
        # PyYAML lets numbers through that are too large: "\UFFFFFFFF", %YAML 999...
        raise Wrong(loader.line + 1, words("not_yaml", why=words("out_of_range"))) from None
    finally:
        loader.dispose()


def line(node: yaml.Node) -> int:
    """Tell the line `node` begins on; the first is 1."""
    return node.start_mark.line + 1


def tag_of(text: str) -> str:
    """Tell the tag of an unquoted scalar."""
    return next((tag for tag, pattern in _PLAIN if pattern.fullmatch(text)), _STR)


def is_text(node: yaml.ScalarNode) -> bool:
    """Say whether `node` is text, quoted or not."""
    return node.tag == _STR


def value(text: str, tag: str) -> Scalar:
    """Tell what `text` means under `tag`; raises Mistake."""
    if tag not in {_STR, tag_of(text)}:
        raise Mistake("wrong_tag")
    if tag == NULL:
        return None
    if tag == _BOOL:
        return text.lower() == "true"
    if tag == _STR:
        return text
    if len(text) > 100 or not math.isfinite(float(text)):
        raise Mistake("out_of_range")
    return int(text) if tag == _INT else float(text)
