"""What can be wrong with a configuration, in Chinese and English: all of its texts.

No text has a value in it but the names of keys and engines: it may be a secret, or one that
stands in the wrong place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

import attrs


@runtime_checkable
class Said(Protocol):
    """What can be said in Chinese or English. `str()` is the English, for the log."""

    def said(self, language: str) -> str:
        """Say it in Chinese where that is the `language`, else in English."""


TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    # -- the file --
    "wrong": {
        "en": "the configuration is wrong:\n{why}",
        "zh": "配置有误：\n{why}",
    },
    "right": {"en": "{file}: nothing is wrong", "zh": "{file}：没有错误"},
    "warning": {"en": "warning: {why}", "zh": "警告：{why}"},
    "defaults": {"en": "the built-in defaults", "zh": "内置默认值"},
    "missing": {
        "en": "there is no such file (named by {origin})",
        "zh": "没有这个文件（由 {origin} 指定）",
    },
    "unreadable": {"en": "cannot be read: {why}", "zh": "无法读取：{why}"},
    "too_long": {"en": "is longer than {limit} KiB", "zh": "超过 {limit} KiB"},
    "not_utf8": {"en": "not UTF-8", "zh": "不是 UTF-8 编码"},
    "no_yaml_character": {
        "en": "a character that YAML does not allow",
        "zh": "含有 YAML 不允许的字符",
    },
    "not_yaml": {"en": "not YAML: {why}", "zh": "不是有效的 YAML：{why}"},
    "aliases": {"en": "aliases (*) are not supported", "zh": "不支持别名（*）"},
    "tags": {"en": "tags (!) are not supported", "zh": "不支持标签（!）"},
    "too_deep": {"en": "nested too deep", "zh": "嵌套太深"},
    # -- keys and values --
    "place": {"en": "{place}: {what}", "zh": "{place}: {what}"},
    "other": {"en": "{why}", "zh": "{why}"},
    "key_no_text": {"en": "a key must be text", "zh": "键必须是文本"},
    "twice": {"en": "was given before, in line {line}", "zh": "前面已给出（第 {line} 行）"},
    "unknown_key": {"en": "unknown key{meant}", "zh": "未知的键{meant}"},
    "meant": {"en": "; did you mean {name}?", "zh": "，是不是 {name}？"},
    "required": {"en": "is required", "zh": "必须填写"},
    "no_mapping": {"en": "must be a mapping, not {instead}", "zh": "必须是映射，而不是{instead}"},
    "single": {"en": "a single value", "zh": "单个值"},
    "mismatch": {
        "en": "must be {wanted}{instead}{quotes}",
        "zh": "必须是{wanted}{instead}{quotes}",
    },
    "instead": {"en": ", not {sort}", "zh": "，而不是{sort}"},
    "quotes": {"en": "; put it in quotes", "zh": "；请加上引号"},
    "wrong_tag": {"en": "its tag (!!) does not fit it", "zh": "标签（!!）与内容不符"},
    "out_of_range": {"en": "a number out of range", "zh": "数字超出范围"},
    "no_variable": {
        "en": "needs the environment variable {name}, which is not set",
        "zh": "需要环境变量 {name}，但它没有设置",
    },
    "odd_variable": {
        "en": "has a ${{ that is not ${{NAME}} or ${{NAME:-text}}; $${{ is a plain ${{",
        "zh": "含有 ${{，但不是 ${{NAME}} 或 ${{NAME:-文本}}；$${{ 表示 ${{ 本身",
    },
    "no_text_character": {
        "en": "has a character that no text may have",
        "zh": "含有文本中不允许的字符",
    },
    # -- engines --
    "no_engines": {"en": "is empty", "zh": "列表是空的"},
    "unnamed": {
        "en": "must be an engine's name, or a mapping that has it under use",
        "zh": "必须是引擎的名字，或用 use 给出名字的映射",
    },
    "odd_engine": {"en": "is not the name of an engine", "zh": "不是引擎的名字"},
    "engine": {"en": "{why}{meant}", "zh": "{why}{meant}"},
    "alias_twice": {"en": "another is called so", "zh": "已有同名的引擎"},
    "odd_alias": {
        "en": "must be an alias: letters, digits, . _ and -, 60 of them at most",
        "zh": "必须是别名：字母、数字、. _ -，至多 60 个字符",
    },
    "no_alias": {
        "en": "must be an alias, or a mapping that has it under one of {names}",
        "zh": "必须是别名，或用 {names} 之一给出别名的映射",
    },
    "no_zone": {
        "en": "is not a time zone, such as Europe/Paris",
        "zh": "不是时区，例如 Asia/Shanghai",
    },
    "no_model": {
        "en": "{place}: there is no language model called {alias}, so the next is taken",
        "zh": "{place}: 没有名为 {alias} 的语言模型，改用下一个",
    },
    "no_voice": {
        "en": "{place}: there is no voice called {alias}, so the next is taken",
        "zh": "{place}: 没有名为 {alias} 的语音，改用下一个",
    },
    "role_twice": {
        "en": "assistant.roles: {name}: is there twice, so the first is taken",
        "zh": "assistant.roles: {name}: 有两个同名的角色，只用第一个",
    },
    "lacking": {
        "en": "{place}: needs {what}; without, it is not used",
        "zh": "{place}: 还需要 {what}，没有它就不启用",
    },
    "odd_address": {
        "en": "{place}: is not an http:// or https:// address",
        "zh": "{place}: 不是 http:// 或 https:// 地址",
    },
    "no_folder": {
        "en": "{place}: is no folder that is there",
        "zh": "{place}: 没有这个文件夹",
    },
    "no_tool": {
        "en": "must be true, false or a mapping",
        "zh": "必须是 true、false 或映射",
    },
    # -- MCP servers --
    "not_json": {"en": "not JSON: {why}", "zh": "不是有效的 JSON：{why}"},
    "no_servers": {"en": "has no mapping mcpServers", "zh": "没有映射 mcpServers"},
    "no_mapping_here": {"en": "must be a mapping", "zh": "必须是映射"},
    "command_or_url": {
        "en": "must have a command or a url, and not both",
        "zh": "必须给出 command 或 url，且只能给出一个",
    },
    "odd_transport": {
        "en": "its transport is stdio with a command, sse or http with a url",
        "zh": "有 command 时 transport 是 stdio，有 url 时是 sse 或 http",
    },
    "odd_url": {
        "en": "its url is not an http:// or https:// address",
        "zh": "url 不是 http:// 或 https:// 地址",
    },
    "no_search_url": {
        "en": "provider searxng needs a url",
        "zh": "provider 为 searxng 时需要 url",
    },
    "odd_env": {
        "en": "env has a name that no variable may have",
        "zh": "env 中有变量不能用的名字",
    },
    "no_transport": {
        "en": "{name} must be stdio, sse or http",
        "zh": "{name} 必须是 stdio、sse 或 http",
    },
    # -- what a value is --
    "true_false": {"en": "true or false", "zh": " true 或 false"},
    "whole": {"en": "a whole number{bounds}", "zh": "{bounds}整数"},
    "wholes": {"en": "whole numbers{bounds}", "zh": "{bounds}整数"},
    "number": {"en": "a number{bounds}", "zh": "{bounds}数字"},
    "numbers": {"en": "numbers{bounds}", "zh": "{bounds}数字"},
    "bound": {"en": "{bound}", "zh": "{bound} 的"},
    "bounds": {"en": "{low}{high}", "zh": "{low}、{high} 的"},
    "from": {"en": " from {limit}", "zh": "不小于 {limit}"},
    "above": {"en": " above {limit}", "zh": "大于 {limit}"},
    "to": {"en": " to {limit}", "zh": "不大于 {limit}"},
    "below": {"en": " below {limit}", "zh": "小于 {limit}"},
    "text": {"en": "text{size}{form}", "zh": "文本{size}{form}"},
    "some_text": {"en": "text, not empty{size}{form}", "zh": "非空文本{size}{form}"},
    "size": {"en": " of at most {limit} characters", "zh": "（至多 {limit} 个字符）"},
    "form": {"en": " of the form {pattern}", "zh": "（形如 {pattern}）"},
    "one_of": {"en": "one of {values}", "zh": "以下之一：{values}"},
    "list": {"en": "a list", "zh": "列表"},
    "list_of": {"en": "a list of {items}", "zh": "{items}的列表"},
    "lists_of": {"en": "lists of {items}", "zh": "{items}的列表"},
    "mapping": {"en": "a mapping", "zh": "映射"},
    "mappings": {"en": "mappings", "zh": "映射"},
    "mapping_of": {"en": "a mapping of {items}", "zh": "值为{items}的映射"},
    "mappings_of": {"en": "mappings of {items}", "zh": "值为{items}的映射"},
    "either": {"en": "{one} or {other}", "zh": "{one}或{other}"},
    "value": {"en": "a value", "zh": "任意值"},
    "values": {"en": "values", "zh": "任意值"},
    "empty": {"en": "empty", "zh": "空"},
    # -- the server --
    "no_addresses": {
        "en": "must be IP addresses, such as 0.0.0.0 or ::",
        "zh": "必须是 IP 地址，例如 0.0.0.0 或 ::",
    },
    "no_networks": {
        "en": "must be addresses or networks, such as 10.0.0.1 or 100.64.0.0/10",
        "zh": "必须是地址或网段，例如 10.0.0.1 或 100.64.0.0/10",
    },
    "no_url": {
        "en": "must be http, https, ws or wss, ://, a host and perhaps a port, "
        "such as https://voice.example.org:8443",
        "zh": "必须是 http、https、ws 或 wss，加 ://、主机名，可加端口，"
        "例如 https://voice.example.org:8443",
    },
    "no_http": {
        "en": "must be an http:// or https:// address",
        "zh": "必须是 http:// 或 https:// 地址",
    },
    "no_database": {
        "en": "must be sqlite:/// and the whole path of a file, such as sqlite:////srv/xiaozhi.db, "
        "or postgresql://user:password@host:port/database, with @ : / ? # and % in the user "
        "and the password written as %40 and so on",
        "zh": "必须是 sqlite:/// 加文件的完整路径，例如 sqlite:////srv/xiaozhi.db，"
        "或 postgresql://用户:密码@主机:端口/数据库，"
        "用户和密码中的 @ : / ? # % 要写成 %40 等形式",
    },
    "no_language": {
        "en": "must be auto or a language, such as zh or en",
        "zh": "必须是 auto 或一种语言，例如 zh 或 en",
    },
    "same_port": {
        "en": "http_port must not be the same as port",
        "zh": "http_port 不能与 port 相同",
    },
    "half_a_pair": {
        "en": "certificate and key go together",
        "zh": "certificate 和 key 必须同时给出",
    },
    # -- who may connect --
    "no_ids": {"en": "must be ids of devices", "zh": "必须是设备编号"},
    "two_keys": {
        "en": "secret and public_key exclude each other",
        "zh": "secret 和 public_key 只能给出一个",
    },
    "no_key": {"en": "needs a secret or a public_key", "zh": "需要 secret 或 public_key"},
    "odd_algorithms": {
        "en": "algorithms has {names}, which a {owner} is not for",
        "zh": "algorithms 中的 {names} 不适用于 {owner}",
    },
    "short_secret": {
        "en": "secret must have at least {bytes} bytes",
        "zh": "secret 至少要有 {bytes} 个字节",
    },
    "pem_secret": {
        "en": "secret is a key in PEM; a public one belongs under public_key",
        "zh": "secret 是 PEM 格式的密钥；公钥应写在 public_key 中",
    },
    "no_introspection": {
        "en": "needs an introspection_url",
        "zh": "需要 introspection_url",
    },
    "no_client": {
        "en": "has a client_secret but no client_id",
        "zh": "有 client_secret 却没有 client_id",
    },
    "mode_needs": {
        "en": "mode is {mode}, which needs {keys}",
        "zh": "mode 为 {mode} 时需要 {keys}",
    },
    "mode_idle": {
        "en": "mode is {mode}, which makes no use of {keys}",
        "zh": "mode 为 {mode} 时用不到 {keys}",
    },
    "short_key": {
        "en": "key must have at least {count} characters",
        "zh": "key 至少要有 {count} 个字符",
    },
}


@attrs.frozen
class Words:
    """One of the `TEXTS`, with the facts that go into it; they can be words themselves."""

    key: str
    facts: Mapping[str, object] = attrs.field(factory=dict)

    def said(self, language: str) -> str:
        """Say it in Chinese where that is the `language`, else in English."""
        texts = TEXTS[self.key]
        facts = {
            name: fact.said(language) if isinstance(fact, Said) else fact
            for name, fact in self.facts.items()
        }
        return texts.get(language, texts["en"]).format(**facts)

    def __str__(self) -> str:
        """Say it in English."""
        return self.said("en")


def words(key: str, **facts: object) -> Words:
    """Take one of the `TEXTS`, and what goes into it."""
    return Words(key, facts)


class Mistake(ValueError):
    """A value is not what it should be, or values do not go together."""

    def __init__(self, key: str, **facts: object) -> None:
        """Take one of the `TEXTS`, and what goes into it."""
        self._words = Words(key, facts)
        super().__init__(str(self._words))

    def said(self, language: str) -> str:
        """Say it in Chinese where that is the `language`, else in English."""
        return self._words.said(language)


def why(error: Exception) -> Said:
    """Tell what an error says; one that knows no Chinese says it in its own words."""
    return error if isinstance(error, Said) else words("other", why=str(error))
