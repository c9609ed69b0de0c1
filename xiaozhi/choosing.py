"""Choosing: reads which engines are wanted, each with its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec
import yaml
from msgspec import inspect as types

from xiaozhi import kinds, manual, yamltext
from xiaozhi.choices import ENGINES, Chosen, Wish
from xiaozhi.errors import Unavailable
from xiaozhi.mistakes import why, words
from xiaozhi.reading import NAME, Entry, Reading, join, meant
from xiaozhi.services import engine
from xiaozhi.yamltext import Wrong

ALIASED: Final = ("llm", "tts")
"""The kinds whose engines can be wanted by an alias."""
_NAMING: Final = ("alias", "name", "module")
"""Under which of these, or its kind, a mapping says which engine is wanted."""
_ALIAS: Final = re.compile(r"[\w.-]{1,60}")


@attrs.frozen
class Choosing(Reading):
    """A reading that knows engines."""

    _lists: dict[str, dict[str, Chosen]] = attrs.field(factory=dict)
    """Those of each kind, by what they are called."""

    def _field(
        self, field: types.Field, hint: Any, node: yaml.Node | None, key: str, line: int | None
    ) -> Any:
        """Tell the value of a field; raises Wrong, or notes what is wrong further down."""
        if key == manual.TOOLS:
            return self._tools(node)
        if key in engine.KINDS:
            return self._engines(key, node)
        if manual.is_wish(kinds.bare(field.type)):
            assert isinstance(field.type, types.Metadata)
            return None if node is None else self._wish((field.type.extra or {})["kind"], node, key)
        return super()._field(field, hint, node, key, line)

    def _engines(self, kind: str, node: yaml.Node | None) -> tuple[Chosen | None, ...]:
        """Tell the engines of `kind`; raises Wrong."""
        if node is None:
            usual = [self._settled(kind, name, {}, None) for name in ENGINES[kind]]
            chosen = [one and self._listed(one, None) for one in usual]
        elif isinstance(node, yaml.SequenceNode):
            if not node.value:
                raise Wrong(yamltext.line(node), words("no_engines"))
            chosen = [self._chosen(kind, item) for item in node.value]
        else:
            chosen = [self._chosen(kind, node)]
        return tuple(chosen)

    def _tools(self, node: yaml.Node | None) -> tuple[Chosen | None, ...]:
        """Tell the tools there shall be: all usual ones, but those that are false."""
        kind = manual.TOOLS
        entries = self._entries(node, kind)
        chosen = []
        for name in dict.fromkeys((*ENGINES[kind], *entries)):
            line, wanted = entries.get(name, (None, None))
            settings: Mapping[str, Entry] = {}
            if isinstance(wanted, yaml.ScalarNode):
                on = yamltext.value(wanted.value, wanted.tag)
                if not isinstance(on, bool):
                    self.wrong(line, join(kind, name), words("no_tool"))
                    continue
                if not on:
                    continue
            elif wanted is not None:
                settings = self._entries(wanted, join(kind, name))
            chosen.append(self._settled(kind, name, settings, line))
        return tuple(chosen)

    def _chosen(self, kind: str, node: yaml.Node) -> Chosen | None:
        """Make one entry of an engine list: a name, or a mapping with `use`."""
        line = yamltext.line(node)
        entries = {}
        name: Any = None
        try:
            if isinstance(node, yaml.MappingNode):
                entries = self._entries(node, kind)
                line, node = entries.pop("use", (line, node))
            if isinstance(node, yaml.ScalarNode):
                name = self._plain(node, types.StrType(), kind)
        except Wrong as error:
            self.wrong(line, f"{kind}.use", error.why)
            return None
        if not isinstance(name, str):
            self.wrong(line, kind, words("unnamed"))
            return None
        alias = entries.pop("alias", None) if kind in ALIASED else None
        chosen = self._settled(kind, name, entries, line)
        return chosen and self._listed(chosen, alias)

    def _listed(self, chosen: Chosen, alias: Entry | None) -> Chosen | None:
        """Note an engine of a list, by its alias if it has one."""
        listed = self._lists.setdefault(chosen.kind, {})
        if alias is not None:
            key = f"{chosen.kind}.{chosen.name}.alias"
            try:
                chosen = msgspec.structs.replace(chosen, alias=self._alias(alias.node, key))
            except Wrong as error:
                self.wrong(alias.line, key, error.why)
                return None
            if chosen.alias and chosen.alias in listed:
                self.wrong(alias.line, key, words("alias_twice"))
        listed.setdefault(chosen.called, chosen)
        return chosen

    def _settled(
        self, kind: str, name: str, entries: Mapping[str, Entry], line: int | None
    ) -> Chosen | None:
        """Find the engine and read its settings."""
        key = join(kind, name if kind == manual.TOOLS else "use")
        if not NAME.fullmatch(name):
            self.wrong(line, key, words("odd_engine"))
            return None
        try:
            module = manual.load(kind, name)
        except Unavailable as error:
            near = meant(name, manual.known(kind))
            self.wrong(line, key, words("engine", why=error, meant=near))
            return None
        settings = self._filled(module.Settings, entries, f"{kind}.{name}", line)
        return Chosen(kind, name, settings) if settings is not None else None

    # -- who is wanted before the others --

    def _wish(self, kind: str, node: yaml.Node, key: str) -> Wish | None:
        """Read an alias, or a mapping with one and with settings that are others, in it or below.

        What is empty is no wish. Raises Wrong.
        """
        given: dict[str, Entry] = {}
        line = yamltext.line(node)
        if isinstance(node, yaml.MappingNode):
            given = self._entries(node, key)
            naming = (*_NAMING, kind)
            name = next((name for name in naming if name in given), None)
            if name is None:
                raise Wrong(line, words("no_alias", names=", ".join(naming)))
            line, node = given.pop(name)
            if nested := given.pop("overrides", None):
                self._add(given, self._entries(nested.node, join(key, "overrides")), key)
        alias = self._alias(node, key)
        if not alias:
            return None
        chosen = self._called(kind, alias, line)
        return Wish(alias, chosen and self._changed(chosen, given, key, line))

    def _add(self, given: dict[str, Entry], more: Mapping[str, Entry], key: str) -> None:
        """Add what stands below to what is `given` beside it."""
        for name, entry in more.items():
            if name in given:
                self.wrong(entry.line, join(key, name), words("twice", line=given[name].line))
            given.setdefault(name, entry)

    def _alias(self, node: yaml.Node, key: str) -> str:
        """Tell an alias; "" if there is none. Raises Wrong."""
        alias = self._plain(node, types.StrType(), key) if isinstance(node, yaml.ScalarNode) else 0
        if not isinstance(alias, str) or (alias and not _ALIAS.fullmatch(alias)):
            raise Wrong(yamltext.line(node), words("odd_alias"))
        return alias

    def _called(self, kind: str, alias: str, line: int) -> Chosen | None:
        """Find the engine of the list that is called so, or one that is not in the list."""
        if listed := self._lists.get(kind, {}).get(alias):
            return listed
        try:
            manual.load(kind, alias)
        except Unavailable:
            return None
        return self._settled(kind, alias, {}, line)

    def _changed(
        self, chosen: Chosen, given: Mapping[str, Entry], key: str, line: int
    ) -> Chosen | None:
        """Give an engine other settings, and a name that tells which; None if they are wrong."""
        before = len(self.problems)
        cls = type(chosen.settings)
        values = self._values(cls, given, key, line, whole=False)
        if len(self.problems) > before:
            return None
        try:
            settings = msgspec.structs.replace(chosen.settings, **values)
        except ValueError as error:
            self.wrong(line, key, why(error))
            return None
        others = [name for name in values if values[name] != getattr(chosen.settings, name)]
        if not others:
            return chosen
        alias = "+".join((chosen.called, *others))
        return msgspec.structs.replace(chosen, settings=settings, alias=alias)
