"""What a configuration names that is not there is told, and keeps nothing from starting."""

from __future__ import annotations

import importlib.metadata
import io
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import EntryPoint
from unittest import mock

import msgspec

from tests.configuring import FileTestCase
from xiaozhi.choices import Chosen
from xiaozhi.cli import main
from xiaozhi.doubts import doubts, unnamed
from xiaozhi.services.engine import Settings

DOUBTFUL = """
    llm_by_mode: {chat: gpt}
    assistant:
      roles: [{name: Tom, model: gemini}, {name: Anna, voice: bass}, {name: tom, prompt: "..."}]
    tools:
      music: {folder: /there/is/none, stations: {Jazz: jazz.mp3, News: "http://news/"}}
      search: {provider: brave, api_key: ""}
      home: {url: "http://127.0.0.1:8123", token: ""}
"""
WARNED = (
    ("llm_by_mode.chat: there is no language model called gpt", "没有名为 gpt 的语言模型"),
    ("roles: Tom: model: there is no language model called gemini", "没有名为 gemini 的语言模型"),
    ("roles: Anna: voice: there is no voice called bass", "没有名为 bass 的语音"),
    ("roles: tom: is there twice", "tom: 有两个同名的角色"),
    ("tools.search: needs api_key", "tools.search: 还需要 api_key"),
    ("tools.music.folder: is no folder", "tools.music.folder: 没有这个文件夹"),
    ("music.stations.Jazz: is not an http", "music.stations.Jazz: 不是 http"),
    ("tools.home: needs token", "tools.home: 还需要 token"),
)


class DoubtTests(FileTestCase):
    def test_both_languages(self) -> None:
        """Each is told in both; a file without any is told nothing of."""
        self.assertEqual(list(doubts(self.load("assistant: {roles: [{name: A}, {name: B}]}"))), [])
        found = doubts(self.load(DOUBTFUL))
        for doubt, (english, chinese) in zip(found, WARNED, strict=True):
            self.assertIn(english, doubt.said("en"))
            self.assertIn(chinese, doubt.said("zh"))

    def test_unnamed(self) -> None:
        """A tool that somebody has installed is told of until it is used; ours never are."""
        entries = [EntryPoint(name, name, "xiaozhi.tools") for name in ("json", "dice", "clock")]
        found = {"xiaozhi.tools": [*entries, entries[1]]}
        self.patch(importlib.metadata, "entry_points", lambda group: found[group])
        self.assertEqual(unnamed(self.load("tools: {clock: false}")), ["dice", "json"])
        used = Chosen("tools", "dice", Settings())
        config = msgspec.structs.replace(self.load(""), tools=(used,))
        self.assertEqual(unnamed(config), ["json"])

    def test_check(self) -> None:
        """`xiaozhi check` warns of them, and finds nothing wrong."""
        self.load(DOUBTFUL)
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict("os.environ", LC_ALL="C.UTF-8"),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            self.assertEqual(main(["check", str(self.path)]), 0)
        self.assertEqual(out.getvalue(), f"{self.path}: nothing is wrong\n")
        lines = err.getvalue().splitlines()
        self.assertEqual([line.partition(": ")[0] for line in lines], ["warning"] * len(WARNED))
