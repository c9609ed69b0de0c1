"""The units for systemd, as systemd itself reads them. No manager is run."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from tests.system.server import ROOT

ANALYZE = shutil.which("systemd-analyze")
EXPOSED = 20
"""What `systemd-analyze security` may say, of 100: what talks to a network has some."""


class Units(TestCase):
    if ANALYZE is None:
        skip = "systemd-analyze is not installed"

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        service = (ROOT / "etc/xiaozhi.service").read_text("utf-8")
        # systemd looks whether the programs are there.
        adapted = re.sub(r"^(Exec\w+=)/opt/xiaozhi/bin/\w+", r"\1/bin/true", service, flags=re.M)
        self.assertNotIn("/opt/", adapted)
        (self.folder / "xiaozhi.service").write_text(adapted, encoding="utf-8")
        shutil.copy(ROOT / "etc/xiaozhi.socket", self.folder)

    def analyze(self, *words: str) -> Deferred[tuple[bytes, bytes, int]]:
        """Ask systemd."""
        asked: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(
            str(ANALYZE), words, env={"PATH": "/usr/bin:/bin"}
        )
        return asked

    async def test_right(self) -> None:
        """Both units are right: every key is known, and what they name is there."""
        units = [str(self.folder / f"xiaozhi.{kind}") for kind in ("service", "socket")]
        _, complaints, status = await self.analyze("verify", *units)
        self.assertEqual(status, 0)
        self.assertNotIn(b"xiaozhi", complaints)  # other units are another's business

    async def test_complaints(self) -> None:
        """What is wrong would be told: a key that is misspelt."""
        unit = self.folder / "xiaozhi.service"
        unit.write_text(unit.read_text("utf-8").replace("WatchdogSec", "WachdogSec"), "utf-8")
        _, complaints, _ = await self.analyze("verify", str(unit))
        self.assertIn(b"WachdogSec", complaints)

    async def test_hardened(self) -> None:
        """The service may do little beyond what it needs."""
        unit = str(self.folder / "xiaozhi.service")
        threshold = f"--threshold={EXPOSED}"
        told, _, status = await self.analyze("security", "--offline=true", threshold, unit)
        self.assertEqual(status, 0, told.decode())
