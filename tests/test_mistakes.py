"""What is wrong with a configuration is said in Chinese and in English."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import xiaozhi
from tests.configuring import FileTestCase
from xiaozhi.config import load
from xiaozhi.errors import ConfigError
from xiaozhi.mistakes import TEXTS, Mistake, why, words

HAN = re.compile("[\u4e00-\u9fff]")

SAID = (
    ("server: [", "not YAML: ", "不是有效的 YAML：while parsing"),
    ("a: &x 1\nb: *x", "aliases (*) are not supported", "不支持别名（*）"),
    ("a: !mine {}", "tags (!) are not supported", "不支持标签（!）"),
    ("a: \x07", "a character that YAML does not allow", "含有 YAML 不允许的字符"),
    ('a: "\\UFFFFFFFF"', "not YAML: a number out of range", "不是有效的 YAML：数字超出范围"),
    ("server: {port: !!int x}", "its tag (!!) does not fit it", "标签（!!）与内容不符"),
    ("- 1", "must be a mapping, not a list", "必须是映射，而不是列表"),
    ("listen: 3", "must be a mapping, not a single value", "必须是映射，而不是单个值"),
    ("? [a]\n: 1", "a key must be text", "键必须是文本"),
    ("server: {port: 1, port: 2}", "was given before, in line 1", "前面已给出（第 1 行）"),
    ("sever: {}", "unknown key; did you mean server?", "未知的键，是不是 server？"),
    ("jukebox: {a: 1}", "unknown key", "未知的键"),
    (
        "server: {port: '8000'}",
        "must be a whole number from 0 to 65535, not text",
        "必须是不小于 0、不大于 65535 的整数，而不是文本",
    ),
    (
        "assistant: {name: 5}",
        "must be text of at most 80 characters, not a whole number; put it in quotes",
        "必须是文本（至多 80 个字符），而不是整数；请加上引号",
    ),
    (
        "vad: {use: webrtc, deeper: {depth: 11000}}",
        "must be a number from 0 below 11000",
        "必须是不小于 0、小于 11000 的数字",
    ),
    ("listen: {wakeup_words: [1]}", "must be a list of text", "必须是文本的列表"),
    (
        "listen: {enable_greeting: 1}",
        "must be true or false, not a whole number",
        "必须是 true 或 false，而不是整数",
    ),
    ("audio: {frame_duration: 1}", "must be one of 20, 40, 60", "必须是以下之一：20, 40, 60"),
    ("server: {ip: [x]}", "must be IP addresses, such as", "必须是 IP 地址，例如"),
    ("server: {state: '${GONE}'}", "needs the environment variable GONE", "需要环境变量 GONE"),
    (
        "server: {state: '${A B}'}",
        "has a ${ that is not ${NAME} or ${NAME:-text}; $${ is a plain ${",
        "含有 ${，但不是 ${NAME} 或 ${NAME:-文本}；$${ 表示 ${ 本身",
    ),
    ("asr: []", "is empty", "列表是空的"),
    ("llm: [[a]]", "must be an engine's name", "必须是引擎的名字"),
    ("llm: [../x]", "is not the name of an engine", "不是引擎的名字"),
    (
        "llm: [olama]",
        "there is no llm engine called 'olama'; did you mean ollama?",
        "没有名为 'olama' 的 llm 引擎，是不是 ollama？",
    ),
    ("tts: [helper]", "'helper' is not an engine", "'helper' 不是引擎"),
    ("tts: [needy]", "is required", "必须填写"),
    ("llm_by_mode: {chat: a b}", "must be an alias: letters", "必须是别名：字母"),
    (
        "llm_by_mode: {chat: {speed: 2}}",
        "a mapping that has it under one of alias, name, module, llm",
        "或用 alias, name, module, llm 之一给出别名的映射",
    ),
    (
        "tts: [{use: piper, alias: a}, {use: espeak, alias: a}]",
        "another is called so",
        "已有同名的引擎",
    ),
    ("mcp: {servers: {a: {}}}", "must have a command or a url", "必须给出 command 或 url"),
    ("mcp: {servers: {a: {url: x}}}", "its url is not an http://", "url 不是 http://"),
    (
        "mcp: {servers: {a: {command: x, transport: sse}}}",
        "its transport is stdio with a command",
        "有 command 时 transport 是 stdio",
    ),
    ("tools: {home: {url: 'ftp://home'}}", "home: its url is not an http://", "url 不是 http://"),
    ("tools: {search: {provider: searxng}}", "searxng needs a url", "searxng 时需要 url"),
    ("tools: {clock: {timezone: Asia/Peking}}", "is not a time zone", "不是时区"),
    (
        "tools: {wether: {}}",
        "tools.wether: there is no tool called 'wether'; did you mean weather?",
        "tools.wether: 没有名为 'wether' 的工具，是不是 weather？",
    ),
    ("auth: {mode: jwt}", "mode is jwt, which needs", "mode 为 jwt 时需要"),
    (
        "auth: {mode: jwt, jwt: {secret: short}}",
        "secret must have at least 32 bytes",
        "secret 至少要有 32 个字节",
    ),
    (
        "llm: {use: openai, fast: true, speed: 0.5}",
        "fast and a speed below 1 do not go together",
        "fast and a speed below 1 do not go together",  # an engine that knows no Chinese
    ),
)


class MistakeTests(FileTestCase):
    """A configuration that is wrong."""

    def test_both_languages(self) -> None:
        """Each kind of mistake is said in both, behind the same place."""
        for text, english, chinese in SAID:
            error = self.assertRaises(ConfigError, self.load, text)
            for language, said in (("en", english), ("fr", english), ("zh", chinese)):
                told = error.said(language)
                self.assertIn(said, told, text)
                self.assertTrue(told.startswith(f"{self.path}:"), told)
            self.assertEqual(str(error), error.said("en"))
            self.assertIsNone(HAN.search(str(error)))

    def test_the_file(self) -> None:
        """So is what is wrong with the file as such."""
        for path, data, english, chinese in (
            (self.folder, None, "cannot be read: Is a directory", "无法读取：Is a directory"),
            (self.path, b"#" * 300_000, "is longer than 256 KiB", "超过 256 KiB"),
            (self.path, b"a: \xff", "not UTF-8", "不是 UTF-8 编码"),
        ):
            if data is not None:
                self.path.write_bytes(data)
            error = self.assertRaises(ConfigError, load, path, {})
            self.assertTrue(error.said("en").endswith(f": {english}"))
            self.assertTrue(error.said("zh").endswith(f": {chinese}"))

    def test_other_errors(self) -> None:
        """What knows no Chinese is said in its own words."""
        self.assertEqual(why(ValueError("odd")).said("zh"), "odd")
        self.assertEqual(why(Mistake("short_key", count=32)).said("zh"), "key 至少要有 32 个字符")


class TextTests(FileTestCase):
    """The table."""

    def test_complete(self) -> None:
        """Each text is there in both languages, with the same facts in it."""
        for key, texts in TEXTS.items():
            self.assertEqual(set(texts), {"en", "zh"}, key)
            english, chinese = (
                {name for _, name, *_ in Formatter().parse(texts[language]) if name}
                for language in ("en", "zh")
            )
            self.assertEqual(english, chinese, key)
            self.assertIsNone(HAN.search(texts["en"]), key)
            plain = re.sub(r"\{\w+\}|\W", "", texts["en"])
            self.assertTrue(not plain or HAN.search(texts["zh"]) or "true" in plain, key)

    def test_used(self) -> None:
        """Nothing is in the table that nobody says."""
        source = "".join(
            path.read_text("utf-8")
            for path in Path(xiaozhi.__file__).parent.rglob("*.py")
            if path.name != "mistakes.py"
        )
        built = {"wholes", "numbers", "lists_of", "mappings", "mappings_of", "values"}
        unsaid = {key for key in TEXTS if f'"{key}"' not in source}
        self.assertEqual(unsaid - built - {"list_of", "mapping_of", "value", "other"}, set())

    def test_nested(self) -> None:
        """Facts that are words themselves are said in the language of the whole."""
        whole = words("no_mapping", instead=words("list"))
        self.assertEqual(str(whole), "must be a mapping, not a list")
        self.assertEqual(whole.said("zh"), "必须是映射，而不是列表")
