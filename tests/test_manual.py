"""Manual: the file and the reference are written from the structs, and are true."""

from __future__ import annotations

from pathlib import Path

from tests.configuring import FileTestCase
from xiaozhi import manual
from xiaozhi.choices import ENGINES
from xiaozhi.config import load
from xiaozhi.settings import Config


class ManualTests(FileTestCase):
    """What is written for people to read."""

    def test_file_is_defaults(self) -> None:
        """Loading the commented file equals loading none, whatever the environment."""
        for environ in ({}, {"FAKE_KEY": "k", "V": "w", "LABEL": "l"}):
            self.assertEqual(load(None, environ), self.load(manual.render(), **environ))

    def test_file_is_complete(self) -> None:
        """The file has a line for every key, each under its explanation and within 100 columns."""
        text = manual.render()
        lines = text.splitlines()
        for _, section in manual.sections():
            for field in manual.fields(section):
                (line,) = [one for one in lines if one.startswith(f"  {field.name}:")][:1]
                self.assertTrue(lines[lines.index(line) - 1].startswith("  # "), line)
        for kind, names in ENGINES.items():
            part = text.partition(f"\n{kind}:\n")[2]
            form = "\n  {}:" if kind == manual.TOOLS else "use: {}\n"
            places = [part.index(form.format(name)) for name in names]
            self.assertEqual(sorted(places), places)
        self.assertIn("\n    # Threads. (from 1)\n    threads: 1\n", text)
        self.assertIn("\n    # Speed. (above 0 to 4)\n    speed: 1\n", text)
        self.assertIn("\n  # openai: The fake openai of tts.\n  - use: openai\n", text)
        self.assertLessEqual(max(map(len, lines)), 100)

    def test_reference(self) -> None:
        """The reference has a row for every key, nested ones by their whole name."""
        text = manual.render_reference()
        for row in (
            "| `port` | a whole number from 0 to 65535 | `8000` | Port for devices and pages ",
            "| `sample_rate` | one of 8000, 12000, 16000, 24000, 48000 | `24000` | ",
            '| `ip` | a list of text | `["0.0.0.0", "::"]` | ',
            '| `api_key` | text | `"${FAKE_KEY:-}"` | The key \\| of the service. |',
            "| `deeper.depth` | a number from 0 below 11000 | `1.5` | How deep, in metres. |",
            "| `seed` | a whole number |  | Seed; any if empty. |",
            "| `prompt` | text of at most 20000 characters | see `etc/xiaozhi.yaml` | ",
        ):
            self.assertIn(f"\n{row}", text)
        for kind, names in ENGINES.items():
            for name in names:
                level = "###" if kind == manual.TOOLS else "####"
                self.assertEqual(1, text.count(f"\n{level} {kind}: {name}: "))

    def test_explained(self) -> None:
        """Every key of the file has an explanation that is a sentence."""
        for field in manual.fields(Config):
            self.assertTrue(manual.explanation(field.type).endswith("."), field.name)
        for _, section in manual.sections():
            for field in manual.fields(section):
                self.assertTrue(manual.explanation(field.type).endswith("."), field.name)

    def test_main(self) -> None:
        """Both files are written where they belong."""
        manual.main(self.folder)
        written = {path: (self.folder / path).read_text("utf-8") for path in manual.written()}
        self.assertEqual(manual.written(), written)
        self.assertEqual({Path("etc/xiaozhi.yaml"), Path("docs/configuration.md")}, set(written))
