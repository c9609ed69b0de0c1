"""The manual of the settings: the commented file and the reference, written from the structs.

`python -m xiaozhi.manual` writes both where they belong.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from msgspec import inspect as types

from xiaozhi import kinds, yamltext
from xiaozhi.choices import ENGINES, Wish
from xiaozhi.errors import Unavailable
from xiaozhi.services import engine
from xiaozhi.settings import Config

FILE = Path("etc/xiaozhi.yaml")
REFERENCE = Path("docs/configuration.md")
TOOLS = "tools"
"""The kind of which all are used, each with its settings under its name."""
_WIDTH = 96
_WORD = re.compile(r"[A-Za-z][\w./-]*")
_ELSEWHERE_NOT_TEXT = {"yes", "no", "on", "off", "y", "n"}

_HEAD = """\
# The settings of xiaozhi: every key, with its default. Keep what you change, delete the rest.
#
# "${NAME}" stands for an environment variable, "${NAME:-text}" for its value or else the text;
# write it in quotes. An empty key takes its default. A list may be a single value.
# `xiaozhi check` tells everything that is wrong with this file, with its line.
"""

_REFERENCE_HEAD = """\
# Configuration

This page is written from `xiaozhi/settings.py` and the engines by `make docs`; change it there.

## Where it is read

The first of these is used:

1. the file named by `--config`;
2. the file named by `$XIAOZHI_CONFIG`;
3. `./etc/xiaozhi.yaml`;
4. `/etc/xiaozhi.yaml`;
5. none: every key has its default.

`xiaozhi init` writes a file with every key, its default and its explanation;
`xiaozhi check` tells everything that is wrong with a file, each with its line; what it names that
is not there, and that the server can do without, is a warning.

## How it is read

- A key that is absent or empty takes its default. An unknown key is an error.
- Types are taken at their word: `port: "8000"` is text, not a number, and an error.
- Where a list is expected, a single value is a list of one.
- `${NAME}` in a text stands for the environment variable, which must exist then;
  `${NAME:-text}` for its value or, if it is absent or empty, for the text.
  `$${` is a plain `${`. Unquoted, it serves for a number too: `port: ${PORT:-8000}`.
- Secrets belong in the environment. Errors never show a value.
- Keys, `true`, `false`, numbers, texts, lists: aliases (`*`) and tags (`!`) are errors, and
  `yes`, `no`, `on` and `off` are texts.
"""

_ENGINES_HEAD = """\

## Engines

`vad`, `asr`, `llm`, `tts` and `memory` list engines, and the first that can serve is used. Each is
a mapping of `use` (the engine's name) and its settings; the name alone will do where the defaults
do. An engine may be listed twice with different settings. A list in the file replaces the default
list.

```yaml
vad: webrtc
tts:
  - use: openai
    api_key: "${OPENAI_API_KEY}"
  - espeak
```

### Aliases

Engines of `llm` and `tts` may have an `alias`, by which `llm_by_mode` and `assistant.roles` name
them; without one they are named by `use`. An engine that is not in the list can be named, too: it
has its defaults then. Settings beside the alias, or below `overrides`, replace those of the list.
`name`, `module` and `llm` (for a voice `tts`) stand for `alias` as well.

```yaml
llm:
  - {use: openai, alias: fast, model: glm-4-flash}
  - {use: openai, alias: deep, model: glm-4.5}
  - offline
llm_by_mode:
  default: deep
  chat: {alias: fast, temperature: 0.3}
  memory: {name: deep, overrides: {temperature: 0}}
assistant:
  roles:
    - {name: Grandpa, voice: {alias: piper, speed: 0.8}, model: deep}
```

For a purpose its own model is asked, then the default, then the list, of which the first is asked
that can. An alias that nobody is called by is warned of, and passed over. Engines with the same
alias and settings are one, whoever wants them. One that is not in the list is made when it is
first needed, and ended when nobody has needed it for ten minutes.
"""

_TOOLS_HEAD = """\

## Tools

`tools` is a mapping of the tools' names and their settings. One that is not named has its
defaults; `false` takes one away. What each can do is told in [tools.md](tools.md).

```yaml
tools:
  weather:
    city: Berlin
  news: false
```
"""


def explanation(kind: types.Type) -> str:
    """Tell the description that the annotation of a field gives; "" if none."""
    if isinstance(kind, types.Metadata):
        return str((kind.extra_json_schema or {}).get("description") or explanation(kind.type))
    return ""


def default(field: types.Field) -> Any:
    """Tell the default of `field`; `msgspec.NODEFAULT` if it has none."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def known(kind: str) -> Iterator[str]:
    """Yield the names of the engines of `kind` in the box, those used by default first."""
    yield from ENGINES[kind]
    for module in pkgutil.iter_modules(importlib.import_module(engine.package(kind)).__path__):
        usual = module.name.startswith("_") or module.name in ENGINES[kind]
        if not usual and _is_engine(kind, module.name):
            yield module.name


def load(kind: str, name: str) -> ModuleType:
    """Import the engine `name` of `kind`, which has its settings; raises Unavailable."""
    module = engine.load(kind, name)
    if not (hasattr(module, "Settings") and hasattr(module, engine.KINDS[kind])):
        raise Unavailable(f"{name!r} is not an engine", f"{name!r} 不是引擎")
    return module


def _is_engine(kind: str, name: str) -> bool:
    try:
        load(kind, name)
    except Unavailable:
        return False
    return True


def fields(struct: type[msgspec.Struct]) -> tuple[types.Field, ...]:
    """Tell the fields of `struct`."""
    info = types.type_info(struct)
    assert isinstance(info, types.StructType)
    return info.fields


def is_wish(kind: types.Type) -> bool:
    """Say whether a value of `kind` tells which engine is wanted."""
    return isinstance(kind, types.StructType) and kind.cls is Wish


def sections() -> Iterator[tuple[types.Field, type[msgspec.Struct]]]:
    """Yield the keys of the file that are mappings, and their structs; the engines are not."""
    for field in fields(Config):
        kind = kinds.bare(field.type)
        if isinstance(kind, types.StructType):
            yield field, kind.cls


def render() -> str:
    """Write the commented file: every key with its default."""
    parts = [_HEAD]
    for section, struct in sections():
        lines = "\n".join(_keys(fields(struct), "  "))
        parts.append(
            f"{_comment(explanation(section.type), '')}\n{section.encode_name}:\n{lines}\n"
        )
    for section in fields(Config):
        if section.encode_name in engine.KINDS:
            head = f"{_comment(explanation(section.type), '')}\n{section.encode_name}:\n"
            entries = _kits() if section.encode_name == TOOLS else _engines(section.encode_name)
            parts.append(head + "\n\n".join(entries) + "\n")
    return "\n".join(parts)


def _engines(kind: str) -> Iterator[str]:
    for name in ENGINES[kind]:
        module = load(kind, name)
        head = [_comment(_summary(module), "  "), f"  - use: {name}"]
        yield "\n".join([*head, *_keys(fields(module.Settings), "    ")])


def _kits() -> Iterator[str]:
    for name in ENGINES[TOOLS]:
        module = load(TOOLS, name)
        lines = list(_keys(fields(module.Settings), "    "))
        value = "" if lines else " true"
        yield "\n".join([_comment(_summary(module), "  "), f"  {name}:{value}", *lines])


def _keys(keys: tuple[types.Field, ...], indent: str) -> Iterator[str]:
    for field in keys:
        yield _comment(_explained(field), indent)
        kind = kinds.bare(field.type)
        if isinstance(kind, types.StructType) and not is_wish(kind):
            yield f"{indent}{field.encode_name}:"
            yield from _keys(kind.fields, indent + "  ")
        elif default(field) is msgspec.NODEFAULT:
            yield f"{indent}# {field.encode_name}: (required)"
        else:
            yield f"{indent}{field.encode_name}:{_value(default(field), indent)}"


def _explained(field: types.Field) -> str:
    """Tell the explanation of a key for the file, with its bounds or choices."""
    kind = kinds.bare(field.type)
    limits = ""
    if isinstance(kind, types.LiteralType):
        limits = ", ".join(str(value) for value in kind.values)
    elif isinstance(kind, types.IntType | types.FloatType):
        bounds = str(kinds.bounds(kind)).strip()
        limits = bounds.removeprefix("from ") if " to " in bounds else bounds
    return explanation(field.type) + (f" ({limits})" if limits else "")


def _comment(text: str, indent: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _value(value: Any, indent: str) -> str:
    """Write `value` after its key: on the same line, or below it and indented deeper."""
    if value is None:
        return ""
    if isinstance(value, str) and "\n" in value:
        return " |-" + "".join(f"\n{indent}  {line}" for line in value.split("\n"))
    line = f" {_flow(value)}"
    if isinstance(value, tuple | list) and len(indent + line) > _WIDTH - 20:
        return "".join(f"\n{indent}  - {_flow(item)}" for item in value)
    if isinstance(value, Mapping) and value:
        return "".join(f"\n{indent}  {_flow(name)}: {_flow(it)}" for name, it in value.items())
    return line


def _flow(value: Any) -> str:
    if isinstance(value, str):
        plain = _WORD.fullmatch(value) and value.lower() not in _ELSEWHERE_NOT_TEXT
        if plain and isinstance(yamltext.value(value, yamltext.tag_of(value)), str):
            return value
    if isinstance(value, tuple | list | set | frozenset):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def _summary(module: ModuleType) -> str:
    lines = (inspect.getdoc(module) or "").partition("\n\n")[0]
    return f"{module.__name__.rpartition('.')[2]}: {' '.join(lines.split())}"


def render_reference() -> str:
    """Write the reference in Markdown: every key of every section and engine."""
    parts = [_REFERENCE_HEAD]
    for section, struct in sections():
        parts.append(f"\n## {section.encode_name}\n\n{explanation(section.type)}\n\n")
        parts.append(_table(fields(struct)))
    parts.append(_ENGINES_HEAD)
    for kind in engine.KINDS:
        if kind == TOOLS:
            continue
        usual = ", ".join(f"`{name}`" for name in ENGINES[kind])
        section = next(field for field in fields(Config) if field.encode_name == kind)
        parts.append(f"\n### {kind}\n\n{explanation(section.type)} Default: {usual}.\n")
        for name in known(kind):
            module = load(kind, name)
            parts.append(f"\n#### {kind}: {_summary(module)}\n\n{_table(fields(module.Settings))}")
    parts.append(_TOOLS_HEAD)
    for name in known(TOOLS):
        module = load(TOOLS, name)
        parts.append(f"\n### tools: {_summary(module)}\n\n{_table(fields(module.Settings))}")
    return "".join(parts)


def _table(keys: tuple[types.Field, ...]) -> str:
    rows = [_row(*cells) for cells in _cells(keys, "")]
    if not rows:
        return "It has no settings.\n"
    return "\n".join([_row("Key", "Value", "Default", ""), "|---|---|---|---|", *rows]) + "\n"


def _cells(keys: tuple[types.Field, ...], path: str) -> Iterator[tuple[str, ...]]:
    for field in keys:
        name, kind = path + field.encode_name, kinds.bare(field.type)
        if isinstance(kind, types.StructType) and not is_wish(kind):
            yield from _cells(kind.fields, f"{name}.")
            continue
        words = "an alias, perhaps with settings" if is_wish(kind) else str(kinds.describe(kind))
        yield f"`{name}`", words, _usual(default(field)), explanation(field.type)
        if isinstance(each := kinds.named(kind), types.StructType):
            yield from _cells(each.fields, f"{name}.NAME.")
        item = kinds.bare(getattr(kind, "item_type", kind))
        if isinstance(item, types.StructType) and item is not kind:
            yield from _cells(item.fields, f"{name}[].")


def _usual(value: Any) -> str:
    if value is msgspec.NODEFAULT:
        return "required"
    if isinstance(value, str) and "\n" in value:
        return f"see `{FILE}`"
    return "" if value is None or value == "" else f"`{_flow(value)}`"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def written() -> dict[Path, str]:
    """Write the texts of the source tree that come from the settings, by their places in it."""
    return {FILE: render(), REFERENCE: render_reference()}


def main(root: Path) -> None:
    """Put the texts into the source tree at `root`."""
    for path, text in written().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path())
