"""Documents: what is written from the code is as the code is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from xiaozhi import manual
from xiaozhi.config import load
from xiaozhi.services import engine
from xiaozhi.services.counters import METRICS

ROOT = Path(__file__).parent.parent


class DocumentTests(TestCase):
    """The commented configuration file and its reference."""

    def test_current(self) -> None:
        """The files in the tree are the ones `make docs` writes."""
        for path, text in manual.written().items():
            self.assertEqual(text, (ROOT / path).read_text("utf-8"), f"{path}: run `make docs`")

    def test_metrics(self) -> None:
        """The table of the metrics has every one there is, and no other."""
        text = (ROOT / "docs/operations.md").read_text("utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| `xiaozhi_")]
        self.assertEqual(
            rows,
            [
                f"| `{metric.exported(name)}` | {metric.kind} "
                f"| {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
                for name, metric in METRICS.items()
            ],
        )

    def test_examples(self) -> None:
        """What is shown of a configuration is right, and the tool of one's own is a tool."""
        pages = [ROOT / name for name in ("README.md", "README.zh.md")]
        shown = 0
        for page in [*pages, *(ROOT / "docs").glob("*.md")]:
            text = page.read_text("utf-8")
            for example in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
                if example.startswith("scrape_configs") or "dice:" in example:
                    continue  # Prometheus's, and one of a tool that is not installed
                path = Path(self.mktemp())
                path.write_text(example, "utf-8")
                names = re.findall(r"\$\{(\w+)\}", example)
                load(path, dict.fromkeys(names, "secret-of-this-test"))
                shown += 1
        self.assertGreater(shown, 10)
        text = (ROOT / "docs/tools.md").read_text("utf-8")
        (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        tool: dict[str, Any] = {"__name__": "xiaozhi_dice"}
        exec(compile(example, "xiaozhi_dice.py", "exec"), tool)
        (made,) = tool["Kit"](tool["Settings"](sides=20), None).tools
        self.assertEqual(made.name, "roll_dice")

    def test_loads(self) -> None:
        """The file in the tree is read without complaint, and means the defaults."""
        self.assertEqual(load(None, {}), load(ROOT / manual.FILE, {}))

    def test_engines_explained(self) -> None:
        """Every setting of every engine in the box has an explanation that is a sentence."""
        for kind in engine.KINDS:
            for name in manual.known(kind):
                for field in manual.fields(manual.load(kind, name).Settings):
                    explanation = manual.explanation(field.type)
                    self.assertTrue(explanation.endswith("."), f"{kind} {name} {field.name}")
