"""Reading: values, engines and environment arrive; what is wrong is told with its line."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from tests.configuring import Deeper, FakeSettings, FileTestCase
from xiaozhi.choices import ENGINES, Chosen
from xiaozhi.config import load
from xiaozhi.errors import ConfigError
from xiaozhi.services.store.database import locate

V = ("yes", "12", "a", "v")


class EngineTests(FileTestCase):
    """Engines are chosen by name, with settings of their own."""

    def test_defaults(self) -> None:
        """Without a word about engines, those of the box are used, in their order."""
        config = load(None, {"FAKE_KEY": "k"})
        wanted = FakeSettings(api_key="k", voices=V, deeper=Deeper(label="no name"))
        self.assertEqual(Chosen("vad", "silero", wanted), config.vad[0])
        for kind in ENGINES:
            chosen = getattr(config, kind)
            self.assertEqual(ENGINES[kind], tuple(one.name for one in chosen))
            self.assertEqual({kind}, {one.kind for one in chosen})

    def test_list(self) -> None:
        """A list gives the order; an engine may be in it twice with different settings."""
        config = self.load("""\
            tts:
              - use: espeak
                voices: one
              - espeak
              - use: espeak
                deeper:
                  depth: 3
              - {use: needy, path: here}
            asr: whisper
            llm: {use: offline, fast: true, seed: 3, extra: {a: [1, two, {b: }]}}
            vad: {use: webrtc, threads: 3}
            """)
        names = [one.name for one in config.tts]
        self.assertEqual(["espeak", "espeak", "espeak", "needy"], names)
        first, second, third = (cast(FakeSettings, one.settings) for one in config.tts[:3])
        self.assertEqual((("one",), V), (first.voices, second.voices))
        self.assertEqual((3.0, "no name"), (third.deeper.depth, third.deeper.label))
        self.assertEqual("whisper", config.asr[0].name)
        llm = cast(FakeSettings, config.llm[0].settings)
        self.assertEqual((True, 3, {"a": [1, "two", {}]}), (llm.fast, llm.seed, llm.extra))
        ((name, settings),) = ((one.name, one.settings) for one in config.vad)
        self.assertEqual(("webrtc", 3), (name, cast(FakeSettings, settings).threads))

    def test_wrong(self) -> None:
        """What is wrong with an engine is told with its line, and with a better name."""
        found = self.problems("""\
            vad: {threads: 3}
            asr: []
            llm:
              - use: olama
              - thread: 2
              - use: openai
                thread: 2
                speed: 0
                size: huge
                model: ""
              -
              - use: 12
              - [openai]
              - use: ../secrets
              - use: openai
                fast: true
                speed: 0.5
            tts:
              - use: needy
              - use: helper
            """)
        self.assertEqual(
            [
                "1: vad: must be an engine's name, or a mapping that has it under use",
                "2: asr: is empty",
                "4: llm.use: there is no llm engine called 'olama'; did you mean ollama?",
                "5: llm: must be an engine's name, or a mapping that has it under use",
                "7: llm.openai.thread: unknown key; did you mean threads?",
                "8: llm.openai.speed: must be a number above 0 to 4",
                "9: llm.openai.size: must be one of large, small",
                "10: llm.openai.model: must be text, not empty",
                "11: llm: must be an engine's name, or a mapping that has it under use",
                "12: llm: must be an engine's name, or a mapping that has it under use",
                "13: llm: must be an engine's name, or a mapping that has it under use",
                "14: llm.use: is not the name of an engine",
                "15: llm.openai: fast and a speed below 1 do not go together",
                "19: tts.needy.path: is required",
                "20: tts.use: 'helper' is not an engine",
            ],
            found,
        )


class ProblemTests(FileTestCase):
    """Everything wrong is told at once, each with its line."""

    def test_all_at_once(self) -> None:
        """Mistakes of every sort in one file are all reported, in the order of the lines."""
        found = self.problems("""\
            server:
              port: "8000"
              prot: 1
              http_port: 70000
              ip: [localhost]
              public_url: ftp://x
              language: english!
              threadpool_max_workers: 0
              max_connections: 1.5
            audio:
              sample_rate: 44100
              frame_duration: "60"
            listen: 3
            assistant:
              name: 5
              name: five
              prompt: [a]
            jukebox:
              level: loud
            sever:
              port: 1
            """)
        self.assertEqual(
            [
                "2: server.port: must be a whole number from 0 to 65535, not text",
                "3: server.prot: unknown key; did you mean port?",
                "4: server.http_port: must be a whole number from 1 to 65535",
                "5: server.ip: must be IP addresses, such as 0.0.0.0 or ::",
                "6: server.public_url: must be http, https, ws or wss, ://, a host and perhaps "
                "a port, such as https://voice.example.org:8443",
                "7: server.language: must be auto or a language, such as zh or en",
                "8: server.threadpool_max_workers: must be a whole number from 1 to 64",
                "9: server.max_connections: must be a whole number from 1 to 100000, not a number",
                "11: audio.sample_rate: must be one of 8000, 12000, 16000, 24000, 48000",
                "12: audio.frame_duration: must be one of 20, 40, 60, not text",
                "13: listen: must be a mapping, not a single value",
                "15: assistant.name: must be text of at most 80 characters, not a whole number; "
                "put it in quotes",
                "16: assistant.name: was given before, in line 15",
                "17: assistant.prompt: must be text of at most 20000 characters, not a list",
                "18: jukebox: unknown key",
                "20: sever: unknown key; did you mean server?",
            ],
            found,
        )

    def test_together(self) -> None:
        """Settings that do not go together are told for their section."""
        what = "http_port must not be the same as port"
        self.assertEqual([f"1: server: {what}"], self.problems("server: {http_port: 8000}"))

    def test_lists_of_mappings(self) -> None:
        """What is wrong with an item of a list is said with its key and its line."""
        config = self.load(
            """\
            auth:
              mode: token
              tokens:
                - token: "${TOKEN}"
                  devices: AA:BB
                - {token: another-one, name: kitchen}
            """,
            TOKEN="first-one",
        )
        self.assertEqual(["first-one", "another-one"], [t.token for t in config.auth.tokens])
        self.assertEqual(("AA:BB",), config.auth.tokens[0].devices)
        one = self.load("auth: {mode: token, tokens: {token: the-only-one}}")
        self.assertEqual("the-only-one", one.auth.tokens[0].token)
        problems = self.problems("""\
            auth:
              mode: token
              tokens:
                - token: short
                - name: nameless
                - {token: long-enough, devise: x}
                - plain-text
              jwt: {secret: s3cret}
            """)
        self.assertEqual(
            [
                r"4: auth.tokens.token: must be text of the form ^[\x21-\x7e]{8,4096}$",
                "5: auth.tokens.token: is required",
                "6: auth.tokens.devise: unknown key; did you mean devices?",
                "7: auth.tokens: must be a mapping, not a single value",
                "7: auth.tokens.token: is required",
                "8: auth.jwt: secret must have at least 32 bytes",
            ],
            problems,
        )

    def test_types(self) -> None:
        """No type is taken for another."""
        for text, what in (
            ("listen: {enable_greeting: yes}", "true or false, not text"),
            ("listen: {enable_greeting: 1}", "true or false, not a whole number"),
            ("server: {port: true}", "a whole number from 0 to 65535, not true or false"),
            ("server: {port: 8000.0}", "a whole number from 0 to 65535, not a number"),
            ("server: {port: {a: 1}}", "a whole number from 0 to 65535, not a mapping"),
            ("server: {port: [1]}", "a whole number from 0 to 65535, not a list"),
            ("listen: {wakeup_words: [1]}", "a list of text"),
            ("vad: {use: webrtc, speed: .inf}", "a number above 0 to 4, not text"),
            ("vad: {use: webrtc, seed: x}", "a whole number, not text"),
            ("vad: {use: webrtc, headers: {a: 1}}", "a mapping of text"),
            ("vad: {use: webrtc, deeper: {depth: 11000}}", "a number from 0 below 11000"),
        ):
            (problem,) = self.problems(text)
            self.assertTrue(problem.endswith(f": must be {what}"), problem)

    def test_environment(self) -> None:
        """A variable that is missing or miswritten is told, in a default as in the file."""
        found = self.problems(
            """\
            server:
              public_url: "${HOST}"
              state: "${HO ST}"
              language: "${HOST:-${OTHER}}"
              port: ${PORT}
            """,
            PORT="many",
        )
        wrong = "has a ${ that is not ${NAME} or ${NAME:-text}; $${ is a plain ${"
        self.assertEqual(
            [
                "2: server.public_url: needs the environment variable HOST, which is not set",
                f"3: server.state: {wrong}",
                f"4: server.language: {wrong}",
                "5: server.port: must be a whole number from 0 to 65535, not text",
            ],
            found,
        )
        error = self.assertRaises(ConfigError, load, None, {"FAKE_KEY": "a\udcffb"})
        self.assertIn(
            "defaults: vad.silero.api_key: has a character that no text may have", error.problems
        )

    def test_environment_of_engines(self) -> None:
        """The name of an engine and its choices may come from the environment as well."""
        found = self.problems(
            """\
            llm:
              - use: ${LLM}
              - use: ${GONE}
              - use: openai
                size: ${SIZE}
            audio:
              sample_rate: ${RATE}
            """,
            LLM="openai",
            SIZE="large",
            RATE="44100",
        )
        self.assertEqual(
            [
                "3: llm.use: needs the environment variable GONE, which is not set",
                "7: audio.sample_rate: must be one of 8000, 12000, 16000, 24000, 48000",
            ],
            found,
        )

    def test_secrets(self) -> None:
        """Wherever a secret stands, no message shows it."""
        secret = "sk-0123456789"
        text = f"""\
            server: {{public_url: "${{KEY}}", port: "${{KEY}}", language: "${{KEY}}!"}}
            audio: {{sample_rate: {secret}, bitrate: "{secret}"}}
            listen: {secret}
            assistant: [{secret}]
            log: {{level: {secret}}}
            llm: [{{use: openai, api_key: [{secret}], size: "${{KEY}}", seed: "{secret}"}}]
            """
        found = self.problems(text, KEY=secret)
        self.assertEqual(11, len(found), found)
        self.assertNotIn(secret, "".join(found))
        for syntax in (f"api_key: '{secret}", f"a: {secret}: b", f"a: @{secret}", f"a: *{secret}"):
            self.assertNotIn(secret, "".join(self.problems(syntax)))

    def test_urls(self) -> None:
        """Only an address that devices can use is taken for public_url."""
        for url in ("http://h", "https://h.x-y.z:1/", "ws://[::1]:8000", "wss://10.0.0.1", ""):
            self.assertEqual(url, self.load(f'server: {{public_url: "{url}"}}').server.public_url)
        wrong = ["h", "h:80", "http://", "http:///a", "http://h:x", "http://h:70000", "http://h:0"]
        wrong += ["http://u:p@h", "http://@h", "http://h/?q", "http://h/#f", "http://h/path"]
        wrong += ["http://a b", "http://a;b", "http://中.cn", "http://[", "http://h\\n", "ftp://h"]
        for url in wrong:
            (problem,) = self.problems(f'server: {{public_url: "{url}"}}')
            self.assertIn("1: server.public_url: must ", problem)

    def test_databases(self) -> None:
        """Only a database that the store can use is taken, and none is shown."""
        for url in (
            "",
            "sqlite:////srv/x.db",
            "sqlite:////srv/a b/100%.db",
            "postgresql://db.example.org/x",
            "postgresql://me:p%40ss@[::1]:5433/x?sslmode=require",
            "postgresql:///x?host=/run/postgresql",
        ):
            self.assertEqual(url, self.load(f'store: {{url: "{url}"}}').store.url)
            locate(url or Path("x.db"))
        wrong = [
            "sqlite://",
            "sqlite:///x.db",
            "sqlite:///:memory:",
            "sqlite:////srv/",
            "/srv/x.db",
        ]
        wrong += ["postgresql://", "postgresql://h", "postgresql://h/", "postgresql://h:0/x"]
        wrong += ["postgresql://h:70000/x", "postgresql://u:sec/ret@h/x", "postgresql://u:p@h@h/x"]
        wrong += ["postgresql+asyncpg://h/x", "postgres://h/x", "mysql://u:secret@h/x", "x"]
        for url in wrong:
            (problem,) = self.problems(f'store: {{url: "{url}"}}')
            self.assertIn("1: store.url: must be sqlite:/// and ", problem)
            self.assertNotIn("ret@", problem)

    def test_secrets_in_logs(self) -> None:
        """A configuration that is printed, by a log or a traceback, shows no secret."""
        database = "store: {url: 'postgresql://u:${FAKE_KEY}@h/x'}"
        config = self.load(database, FAKE_KEY="sk-0123456789")
        self.assertIn("sk-0123456789", config.store.url)
        self.assertEqual("sk-0123456789", cast(FakeSettings, config.vad[0].settings).api_key)
        self.assertNotIn("sk-0123456789", repr(config))
