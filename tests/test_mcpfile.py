"""MCP servers in the configuration, and in the JSON file of other programs."""

from __future__ import annotations

import json
from typing import Any

from tests.configuring import FileTestCase
from xiaozhi.changes import changed
from xiaozhi.errors import ConfigError
from xiaozhi.services.logs.masking import secrets_in
from xiaozhi.services.mcp.settings import Server


class ConfigurationTests(FileTestCase):
    """The section `mcp`."""

    def test_servers(self) -> None:
        """Each has a name, and is reached by what is given."""
        config = self.load("""
            mcp:
              servers:
                files: {command: npx, args: [-y, files], env: {API_KEY: "${KEY}"}, tools: read}
                old: {url: "http://10.0.0.2/sse?a=b", headers: {Authorization: Bearer abcdef}}
                new: {url: "https://example.org/mcp", timeout_s: 5, alone: true, enabled: false}
            """, KEY="secret")  # fmt: skip
        files, old, new = config.mcp.servers.values()
        self.assertEqual(
            (files.command, files.args, files.spoken), ("npx", ("-y", "files"), "stdio")
        )
        self.assertEqual((files.env, files.timeout_s), ({"API_KEY": "secret"}, 30))
        self.assertEqual((files.uses("read"), files.uses("write")), (True, False))
        self.assertEqual((old.spoken, old.uses("any")), ("sse", True))
        self.assertEqual(
            (new.spoken, new.timeout_s, new.alone, new.enabled), ("http", 5, True, False)
        )
        self.assertEqual(set(secrets_in(config.mcp)), {"secret", "Bearer abcdef"})
        self.assertNotIn("secret", repr(config.mcp))
        self.assertEqual(changed(self.load(""), config), ["mcp.servers"])

    def test_wrong(self) -> None:
        """What is wrong is told with its line and key, and without any value."""
        self.assertEqual(
            self.problems("""\
                mcp:
                  servers:
                    a: {}
                    b: {command: x, url: "http://y"}
                    c: {command: x, transport: http}
                    d: {url: "ftp://secret"}
                    e: {comand: x}
                    f: {command: x, env: {A=B: secret}}
                    g: {command: x, timeout_s: 0}
                """),
            [
                "3: mcp.servers.a: must have a command or a url, and not both",
                "4: mcp.servers.b: must have a command or a url, and not both",
                "5: mcp.servers.c: its transport is stdio with a command, sse or http with a url",
                "6: mcp.servers.d: its url is not an http:// or https:// address",
                "7: mcp.servers.e.comand: unknown key; did you mean command?",
                "8: mcp.servers.f: env has a name that no variable may have",
                "9: mcp.servers.g.timeout_s: must be a number from 1 to 600",
            ],
        )


class FileTests(FileTestCase):
    """The JSON file."""

    def write(self, content: Any, name: str = "servers.json") -> None:
        """Write the file, beside the configuration."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / name).write_text(text, encoding="utf-8")

    def test_forms(self) -> None:
        """It is read as the programs write it whose it is."""
        self.write({
            "mcpServers": {
                "claude": {"command": "uvx", "args": ["time"], "env": {"A": "${A:-b}"}},
                "cursor": {"url": "https://x/y", "headers": {"Authorization": "Bearer ${env:K}"}},
                "cline": {"url": "http://x/y", "type": "sse", "disabled": True, "timeout": 60,
                          "autoApprove": ["*"]},
                "other": {"url": "http://x/sse", "transportType": "streamableHttp"},
                "ours": {"command": "never"},
            }
        })  # fmt: skip
        config = self.load("""
            mcp:
              file: servers.json
              servers: {ours: {command: first}}
            """, K="key")  # fmt: skip
        servers = config.mcp.servers
        self.assertEqual(list(servers), ["ours", "claude", "cursor", "cline", "other"])
        self.assertEqual(servers["ours"].command, "first")
        self.assertEqual(servers["claude"], Server(command="uvx", args=("time",), env={"A": "b"}))
        self.assertEqual(servers["cursor"].headers, {"Authorization": "Bearer key"})
        cline = servers["cline"]
        self.assertEqual((cline.spoken, cline.enabled, cline.timeout_s), ("sse", False, 60))
        self.assertEqual(servers["other"].spoken, "http")

    def test_of_an_editor(self) -> None:
        """Where nothing is configured mcp.json in the state folder is read, under either name."""
        self.assertEqual(self.load("", STATE_DIRECTORY=str(self.folder)).mcp.servers, {})
        self.write({"servers": {"a": {"type": "stdio", "command": "x"}}}, "mcp.json")
        servers = self.load("", STATE_DIRECTORY=str(self.folder)).mcp.servers
        self.assertEqual(servers, {"a": Server(command="x", transport="stdio")})

    def test_wrong(self) -> None:
        """What is wrong is told with the file and the key, all of it."""
        where = f"{self.folder}/servers.json"

        def told(content: Any) -> list[str]:
            self.write(content)
            problems = self.problems_of_file("mcp: {file: servers.json}")
            return [problem.removeprefix(where) for problem in problems]

        self.assertEqual(
            told("{\n!"), [":2: not JSON: Expecting property name enclosed in double quotes"]
        )
        self.assertEqual(told([]), [": has no mapping mcpServers"])
        self.assertEqual(
            told({
                "mcpServers": {
                    "a": {}, "b": 1, "c": {"command": "x", "args": ["y", 1]},
                    "d": {"url": "http://x", "type": "carrier pigeon"},
                    "e": {"command": "${NOWHERE}"},
                }
            }),
            [
                ": mcpServers.a: must have a command or a url, and not both",
                ": mcpServers.b: must be a mapping",
                ": mcpServers.c.args[1]: expected text, got a whole number",
                ": mcpServers.d: type must be stdio, sse or http",
                ": mcpServers.e: needs the environment variable NOWHERE, which is not set",
            ],
        )  # fmt: skip
        (self.folder / "servers.json").unlink()
        (problem,) = self.problems_of_file("mcp: {file: servers.json}")
        self.assertIn("there is no such file (named by mcp.file)", problem)

    def problems_of_file(self, text: str) -> list[str]:
        """Tell what is wrong, with its places."""
        return list(self.assertRaises(ConfigError, self.load, text).problems)
