"""What the server says when it starts."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.announcement import Announcement, Lineup
from xiaozhi.services.web.address import Address, public
from xiaozhi.services.web.listening import Listening

LINEUP = Lineup(
    "webrtc",
    [("whisper", {"*"}), ("pocketsphinx", {"en"})],
    [("offline", {"zh", "en"})],
    [("piper", set()), ("espeak", {"af", "de", "en", "vi", "zh", "xx"})],
)


class Said(SynchronousTestCase):
    def lines(self, language: str = "en", address: Address | None = None) -> list[str]:
        listening = Listening(Clock(), Factory(), ["127.0.0.1"], 8123)
        lacking = {"no key is set": ["asr.openai", "tts.openai"]}
        path = Path("/etc/xiaozhi.yaml")
        return Announcement(listening, address, LINEUP, lacking, language, path, ["dice"]).lines()

    def test_all(self) -> None:
        """It says what is on, where, with which languages, what is missing and what to do next."""
        said = self.lines()
        self.assertIn("port 8123", said[0])
        for words in (
            "/etc/xiaozhi.yaml",
            "webrtc > whisper (any language), pocketsphinx (en)",
            "offline (en zh)",
            "piper (starting), espeak (en zh and 4 more)",
            "asr.openai, tts.openai: no key is set",
            "the tool dice is installed; to use it, write under tools: dice: true",
            "http://127.0.0.1:8123/xiaozhi/ota/",
            "xiaozhi device say --ota http://127.0.0.1:8123/xiaozhi/ota/",
        ):
            self.assertIn(words, "\n".join(said))
        self.assertLess(len(said), 10)

    def test_chinese(self) -> None:
        """It says all of it in Chinese too; other languages read English."""
        said = self.lines("zh")
        self.assertEqual(len(said), len(self.lines()))
        for line in said:
            self.assertRegex(line, "[\u4e00-\u9fff]")
        self.assertEqual(self.lines("vi"), self.lines("en"))

    def test_public_address(self) -> None:
        """The address to type into a device is the public one, where there is one."""
        said = "\n".join(self.lines(address=public("https://voice.example.org")))
        self.assertIn("https://voice.example.org:443/xiaozhi/ota/", said)

    def test_everywhere(self) -> None:
        """A server at all addresses names one at which the network reaches it."""
        listening = Listening(Clock(), Factory(), ["0.0.0.0", "::"], 8123)
        said = "\n".join(Announcement(listening, None, LINEUP, {}, "en", None).lines())
        self.assertRegex(said, r"http://\d+\.\d+\.\d+\.\d+:8123/xiaozhi/ota/")
        self.assertNotIn("0.0.0.0", said)
        self.assertIn("built-in defaults", said)
