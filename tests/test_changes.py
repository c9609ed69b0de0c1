"""What differs between two configurations."""

from __future__ import annotations

from tests.configuring import FileTestCase
from xiaozhi.changes import changed, live


class Changes(FileTestCase):
    def differ(self, old: str, new: str) -> list[str]:
        return changed(self.load(old), self.load(new))

    def test_keys(self) -> None:
        """Keys are told, dotted; values never."""
        new = "server: {secret: sesame}\nassistant: {name: J}\nmanager-api: {secret: open}"
        self.assertEqual(self.differ("", ""), [])
        self.assertEqual(
            self.differ("", new), ["server.secret", "assistant.name", "manager-api.secret"]
        )

    def test_engines(self) -> None:
        """Engines are told by name; a list of others by its kind."""
        self.assertEqual(
            self.differ("tts: [{use: piper, api_key: a}]", "tts: [{use: piper, api_key: b}]"),
            ["tts.piper.api_key"],
        )
        self.assertEqual(self.differ("tts: [piper, espeak]", "tts: [espeak, piper]"), ["tts"])
        self.assertEqual(
            self.differ("vad: webrtc", "vad: {use: webrtc, deeper: {depth: 3}}"),
            ["vad.webrtc.deeper.depth"],
        )

    def test_wishes(self) -> None:
        """Who is wanted for a purpose is told by the purpose; an alias is a name like others."""
        modes = "llm: [{use: openai, alias: a}, openai]\nllm_by_mode: "
        self.assertEqual(
            self.differ(modes + "{chat: a}", modes + "{chat: {alias: a, threads: 3}, memory: a}"),
            ["llm_by_mode.chat", "llm_by_mode.memory"],
        )
        self.assertEqual(
            self.differ("tts: [{use: piper, alias: a}]", "tts: [{use: piper, alias: b}]"), ["tts"]
        )
        self.assertEqual(
            self.differ(modes, modes.replace("alias: a", "alias: a, threads: 3")),
            ["llm.a.threads"],
        )

    def test_live(self) -> None:
        """Some need a restart."""
        for key in ("server.port", "server.state", "server.language", "server.shutdown_grace"):
            self.assertFalse(live(key), key)
        for key in (
            "server.secret",
            "asr",
            "tts.piper.api_key",
            "audio.sample_rate",
            "llm_by_mode.chat",
        ):
            self.assertTrue(live(key), key)
