"""Configuration: the file is found, read, and everything wrong in it told at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.configuring import FakeSettings, FileTestCase
from xiaozhi.config import load, locate
from xiaozhi.errors import ConfigError
from xiaozhi.settings import Config


class LocateTests(FileTestCase):
    """The first file of a fixed order is used."""

    def locate(self, given: str | None = None, **environ: str) -> Path | None:
        return locate(given, environ, self.folder, self.folder / "system.yaml")

    def make(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return path

    def test_order(self) -> None:
        """Option, environment, ./etc and /etc, in this order; then the packaged defaults."""
        self.assertIsNone(self.locate())
        system = self.make("system.yaml")
        self.assertEqual(system, self.locate())
        local = self.make("etc/xiaozhi.yaml")
        self.assertEqual(local, self.locate())
        variable = self.make("variable.yaml")
        self.assertEqual(variable, self.locate(XIAOZHI_CONFIG=str(variable)))
        option = self.make("option.yaml")
        self.assertEqual(option, self.locate("option.yaml", XIAOZHI_CONFIG=str(variable)))
        self.assertEqual(local, self.locate("", XIAOZHI_CONFIG=""))

    def test_named_but_missing(self) -> None:
        """A file that was named must exist: another is not read in its place."""
        self.make("etc/xiaozhi.yaml")
        error = self.assertRaises(ConfigError, self.locate, "no.yaml")
        self.assertIn("no.yaml: there is no such file (named by --config)", str(error))
        error = self.assertRaises(ConfigError, self.locate, XIAOZHI_CONFIG="no.yaml")
        self.assertIn("(named by $XIAOZHI_CONFIG)", str(error))


class ValueTests(FileTestCase):
    """What is in the file is used, and the defaults where nothing is."""

    def test_defaults(self) -> None:
        """No file, an empty file, empty sections and empty keys all mean the defaults."""
        default = load(None, {})
        self.assertEqual(8000, default.server.port)
        self.assertEqual(("0.0.0.0", "::"), default.server.ip)
        for text in ("", "# nothing\n", "---\n", "server:\nasr:\nvad: ~", "server:\n  port:\n"):
            self.assertEqual(default, self.load(text), text)
        self.assertEqual(hash(default.server), hash(self.load("").server))

    def test_values(self) -> None:
        """Values of every type arrive."""
        config = self.load("""\
            server:
              ip: ::1
              port: 0
              http_port: 8003
              public_url: wss://voice.example.org:8443
            audio: {sample_rate: 16000}
            listen:
              wakeup_words: [你好, "12"]
              enable_greeting: false
            """)
        self.assertEqual(("::1",), config.server.ip)
        self.assertEqual((0, 8003), (config.server.port, config.server.http_port))
        self.assertEqual("wss://voice.example.org:8443", config.server.public_url)
        self.assertEqual(16000, config.audio.sample_rate)
        self.assertEqual(60, config.audio.frame_duration)
        self.assertEqual(("你好", "12"), config.listen.wakeup_words)
        self.assertFalse(config.listen.enable_greeting)

    def test_byte_order_mark(self) -> None:
        """A byte order mark, as some editors write it, does no harm."""
        self.assertEqual(9000, self.load(b"\xef\xbb\xbfserver:\r\n  port: 9000\r\n").server.port)

    def test_environment(self) -> None:
        """The environment stands for ${NAME}, in the file and in the defaults."""
        config = self.load(
            """\
            server:
              public_url: "${SCHEME}://${HOST:-localhost}/"
              port: ${PORT:-9000}
              http_port: ${HTTP_PORT:-}
            assistant:
              name: "$${NAME} costs $5 {x}"
            llm: {use: "${LLM}", headers: {x-y: "${HOST:-a}"}, deeper: {label: "${HOST:-b}"}}
            """,
            SCHEME="https",
            HOST="",
            LLM="ollama",
            FAKE_KEY="123",
        )
        self.assertEqual("https://localhost/", config.server.public_url)
        self.assertEqual(9000, config.server.port)
        self.assertIsNone(config.server.http_port)
        self.assertEqual("${NAME} costs $5 {x}", config.assistant.name)
        llm = cast(FakeSettings, config.llm[0].settings)
        self.assertEqual(("123", ("yes", "12", "a", "v")), (llm.api_key, llm.voices))
        self.assertEqual(({"x-y": "a"}, "b"), (llm.headers, llm.deeper.label))

    def test_environment_is_text(self) -> None:
        """What the environment has is text where text is wanted, and is not expanded again."""
        config = self.load("assistant: {name: '${N}'}", N="12")
        self.assertEqual("12", config.assistant.name)
        config = self.load("assistant:\n  name: ${N}", N="${N}")
        self.assertEqual("${N}", config.assistant.name)

    def test_yaml_1_2(self) -> None:
        """`no` is Norwegian, a time is no number, and neither is a date anything but text."""
        names = self.load("listen: {wakeup_words: [no, 1:30, 2020-13-45, 0x1f]}").listen
        self.assertEqual(("no", "1:30", "2020-13-45", "0x1f"), names.wakeup_words)


class UnreadableTests(FileTestCase):
    """A file that cannot be understood at all is told, with the line where that begins."""

    def test_not_yaml(self) -> None:
        """A file that is not YAML, or more than is understood of it, is told with its line."""
        for text, line, what in (
            ("a: 1\nserver: [\n", 3, "not YAML: while parsing a flow node"),
            ("server:\n\tport: 1\n", 2, "not YAML: while scanning"),
            ("server: a: b", 1, "not YAML: mapping values are not allowed here"),
            ("--- 1\n--- 2\n", 2, "not YAML: expected a single document"),
            ("a: &x 1\nb: *x\n", 2, "aliases (*) are not supported"),
            ("a:\n  &x [*x]\n", 2, "aliases (*) are not supported"),
            ("a: !!python/name:os.system 1", 1, "tags (!) are not supported"),
            ("a: !mine {}", 1, "tags (!) are not supported"),
            ("server:\n  port: !!int x\n", 2, "its tag (!!) does not fit it"),
            ("server:\n  port: " + "9" * 5000, 2, "a number out of range"),
            ("vad:\n  use: webrtc\n  speed: 1e999", 3, "a number out of range"),
            ('a: "\\UFFFFFFFF"', 1, "a number out of range"),
            ("a:\n" + " [\n" * 5000, 21, "nested too deep"),
            (b"a: 1\nb: \xff", 2, "not UTF-8"),
            ("a: 1\nb: \x07", 2, "a character that YAML does not allow"),
            ("- server", 1, "must be a mapping, not a list"),
            ("server:\n  1: 2\n", 2, "server: a key must be text"),
            ("? [a]\n: 1\n", 1, "a key must be text"),
            ('server:\n  state: "a\\0b"\n', 2, "a character that no text may have"),
            ('server:\n  state: "\\uD800"\n', 2, "a character that no text may have"),
        ):
            (problem,) = self.problems(text)
            self.assertTrue(problem.startswith(f"{line}: "), problem)
            self.assertIn(what, problem)

    def test_unreadable(self) -> None:
        """A file that cannot be read, or is far too long, is told."""
        error = self.assertRaises(ConfigError, load, self.folder, {})
        self.assertEqual((f"{self.folder}: cannot be read: Is a directory",), error.problems)
        self.assertEqual([" is longer than 256 KiB"], self.problems("#" * 300_000))


KEYS = [name for name in Config.__struct_fields__]
KEYS += ["port", "ip", "use", "api_key", "headers", "extra", "deeper", "prompt", "sample_rate", "x"]
VALUES = ["openai", "webrtc", "1", "-1", "1.5", "true", "~", "''", "${A}", "${", "&a b", "*a"]
VALUES += ["!!int x", "!!binary aa", "2020-13-45", "0x_", "\\x00", '"\\ud800"', "-", "? ", "<<"]
SCALARS = st.sampled_from(VALUES) | st.text(max_size=8) | st.integers().map(str)
NODES: st.SearchStrategy[str] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KEYS) | SCALARS, inner, max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {item}" for key, item in pairs.items()) + "}"
        ),
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS), NODES, max_size=5).map(
    lambda pairs: "\n".join(f"{key}: {item}" for key, item in pairs.items())
)


class AnyFileTests(FileTestCase):
    """No file brings the server to anything but a configuration or a list of problems."""

    def outcome(self, data: bytes, environ: Mapping[str, str]) -> None:
        self.path.write_bytes(data)
        try:
            self.assertIsInstance(load(self.path, environ), Config)
        except ConfigError as error:
            self.assertTrue(error.problems)
            for problem in error.problems:
                self.assertEqual(1, len(problem.splitlines()))

    @given(DOCUMENTS | NODES, st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
    @example('server: {? "a\\nb" : 1}', "")
    @example("%YAML 1." + "9" * 5000 + "\n---\na", "")
    @settings(max_examples=60, deadline=None, database=None)
    def test_any_yaml(self, text: str, value: str) -> None:
        """Any YAML document gives a Config or a ConfigError."""
        self.outcome(text.encode("utf-8", "surrogatepass"), {"A": value})

    @given(st.binary(max_size=64) | st.text(max_size=40).map(str.encode))
    @settings(max_examples=40, deadline=None, database=None)
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes give a Config or a ConfigError."""
        self.outcome(data, {})
