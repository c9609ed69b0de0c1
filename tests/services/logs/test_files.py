"""The log's file: put aside by size and day, and never in anybody's way."""

from __future__ import annotations

import io
import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.logs.files import DAY, File, Terminal


class Files(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "x.log"
        self.now = 20_000 * DAY + 10

    def file(self, max_size: int = 100) -> File:
        file = File(self.path, max_size, 30, now=lambda: self.now)
        self.addCleanup(file.close)
        return file

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def test_appends(self) -> None:
        """Lines are added to what is there, and there at once."""
        self.path.write_text("before\n")
        os.utime(self.path, (self.now, self.now))
        self.file().write("你好\n")
        self.assertEqual(self.path.read_text("utf-8"), "before\n你好\n")

    def test_private(self) -> None:
        """A new file is not for everybody to read, and the next one is for the same."""
        file = self.file()
        self.assertEqual(self.path.stat().st_mode & 0o007, 0)
        mode = self.path.stat().st_mode & 0o777
        file.write("x\n")
        self.addCleanup(os.umask, os.umask(0o077))
        file.rotate()
        self.assertEqual(self.path.stat().st_mode & 0o777, mode)

    def test_size(self) -> None:
        """A full file is put aside; no line is lost or torn."""
        file = self.file()
        for number in range(25):
            file.write(f"{number:9}\n")
        self.assertEqual(self.names(), ["x.log", "x.log.2024-10-04.1", "x.log.2024-10-04.2"])
        written = [*sorted(self.folder.glob("x.log.*")), self.path]
        lines = "".join(path.read_text() for path in written).split()
        self.assertEqual(lines, [str(number) for number in range(25)])

    def test_day(self) -> None:
        """A file of yesterday is put aside under its day, by whoever finds it."""
        self.file().write("old\n")
        os.utime(self.path, (self.now, self.now))
        self.now += DAY
        self.file().write("new\n")
        self.assertEqual(self.names(), ["x.log", "x.log.2024-10-04.1"])
        self.assertEqual(self.path.read_text(), "new\n")

    def test_age(self) -> None:
        """What was put aside long ago is deleted; what only looks alike is not."""
        for name in ("x.log.2024-01-01.1", "x.log.old", "y.log.2024-01-01.1"):
            (self.folder / name).touch()
            os.utime(self.folder / name, (self.now - 31 * DAY,) * 2)
        file = self.file()
        file.write("x\n")
        file.rotate()
        self.assertEqual(
            self.names(), ["x.log", "x.log.2024-10-04.1", "x.log.old", "y.log.2024-01-01.1"]
        )

    def test_moved(self) -> None:
        """After another tool has moved the file, the signal begins a new one."""
        file = self.file()
        file.write("a\n")
        self.path.rename(self.folder / "moved")
        file.rotate()
        file.write("b\n")
        self.assertEqual(self.path.read_text(), "b\n")
        self.assertEqual((self.folder / "moved").read_text(), "a\n")

    def test_cannot_put_aside(self) -> None:
        """Where a new file cannot be made, the old one is written on."""
        file = self.file(10)
        file.write("12345678\n")
        self.folder.rename(self.folder.with_name("gone"))
        file.write("still\n")
        self.folder.with_name("gone").rename(self.folder)
        self.assertIn("still\n", self.path.read_text())
        self.assertEqual(file.lost, 0)

    def test_full_disk(self) -> None:
        """A full disk costs lines, and raises nothing."""
        file = File(Path("/dev/full"), 1_000_000, 30, now=lambda: self.now)
        self.addCleanup(file.close)
        file._day = int(self.now // DAY)
        file.write("x\n")
        file.write("y\n")
        self.assertEqual(file.lost, 2)

    def test_torn(self) -> None:
        """A line of which the disk took only a part is lost; the next one is whole."""
        file = self.file()
        write = os.write
        with mock.patch.object(os, "write", lambda to, data: write(to, data[:3])):
            file.write("torn apart\n")
        file.write("whole\n")
        self.assertEqual(self.path.read_text(), "tor\nwhole\n")
        self.assertEqual(file.lost, 1)

    def test_unwritable(self) -> None:
        """A file that cannot be written is an error at the start."""
        self.assertRaises(OSError, File, self.folder / "no" / "x.log", 1, 1)


class Streams(SynchronousTestCase):
    def test_closed(self) -> None:
        """A terminal that is gone costs lines, and raises nothing."""
        stream = io.StringIO()
        terminal = Terminal(stream)
        terminal.write("x\n")
        self.assertEqual(stream.getvalue(), "x\n")
        stream.close()
        terminal.write("y\n")
        self.assertEqual(terminal.lost, 1)
