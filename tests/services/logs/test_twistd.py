"""Which log a server has, by what twistd was told."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

from twisted.application.service import Application
from twisted.internet.task import Clock
from twisted.logger import ILogObserver
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.logs import Log
from xiaozhi.services.logs.files import File, Terminal
from xiaozhi.services.logs.twistd import Logged, make_log
from xiaozhi.upkeep import Log as Settings


class Chosen(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)

    def log(self, file: str = "", **options: Any) -> Log | None:
        return make_log(Settings(file=file), [], options, io.StringIO())

    def test_where(self) -> None:
        """The configuration comes first, then --logfile; a daemon without one has twistd.log."""
        for file, options, name in (
            ("a.log", {"logfile": "b.log", "nodaemon": True}, "a.log"),
            ("", {"logfile": "b.log", "nodaemon": True}, "b.log"),
            ("", {"logfile": None, "nodaemon": 0, "uid": None, "gid": None}, "twistd.log"),
        ):
            log = self.log(file, **options)
            assert log is not None
            assert isinstance(log.sink, File)
            self.addCleanup(log.sink.close)
            self.assertEqual(log.sink.path, self.folder / name)
            self.assertTrue(log.sink.path.exists())

    def test_terminal(self) -> None:
        """In the foreground it is standard output, with short lines."""
        for options in ({"nodaemon": 1}, {"nodaemon": 1, "logfile": "-"}):
            log = self.log(**options)
            assert log is not None
            self.assertIsInstance(log.sink, Terminal)
            self.assertTrue(log.lines.terse)

    def test_another(self) -> None:
        """A log of twistd's that was asked for stays."""
        for options in ({"syslog": True}, {"logger": print}):
            self.assertIsNone(self.log(**options))

    def test_unwritable(self) -> None:
        """A file that cannot be written is named, with the key."""
        with self.assertRaises(OSError) as caught:
            self.log("no/x.log")
        self.assertIn(f"{self.folder}/no/x.log", str(caught.exception))
        self.assertIn("log.file", str(caught.exception))

    def test_application(self) -> None:
        """Twistd finds the log at the application, and nothing where it should use its own."""
        log = self.log(nodaemon=1)
        for chosen in (log, None):
            application: Any = Application("x")
            Logged(chosen, Clock()).setServiceParent(application)
            self.assertIs(application.getComponent(ILogObserver, None), chosen)

    def test_no_file_to_begin_anew(self) -> None:
        """SIGUSR1, which rotates logs, does not end a server that writes to standard output."""
        logged = Logged(self.log(nodaemon=1), Clock())
        before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        logged.startService()
        self.addCleanup(logged.stopService)
        self.assertNotEqual(signal.getsignal(signal.SIGUSR1), signal.SIG_DFL)
