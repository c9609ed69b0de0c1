"""A real PostgreSQL, the system's, for tests: in a temporary folder, on a socket in there."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

USER = "xiaozhi"
PASSWORD = "p@ss:/?#%"


@cache
def programs() -> Path:
    """Find PostgreSQL's programs; where they are missing and may be had, install them."""
    if not _installed() and os.getuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "--yes", "--quiet=2", "postgresql"],
            check=True,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )
    found = _installed()
    assert found, "PostgreSQL is needed for this test (Debian: apt-get install postgresql)"
    return found[-1].parent


def _installed() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


class Postgres:
    """A server that holds databases, each of which is new."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xiaozhi-pg-")
        self.root = Path(self._folder.name)
        self._data = self.root / "data"
        self._made = 0
        # PostgreSQL refuses to be run by root.
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.root, nobody.pw_uid, nobody.pw_gid)
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        secret = self.root / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "--no-sync", "--auth=scram-sha-256", f"--username={USER}",
            f"--pwfile={secret}", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self.root} -c fsync=off"
        self._run("pg_ctl", "--wait", f"--log={self.root / 'log'}", f"--options={options}", "start")

    def stop(self) -> None:
        """Stop it at once, with every connection."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def remove(self) -> None:
        """Stop it, and leave nothing behind."""
        self.stop()
        self._folder.cleanup()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Halt every process of it: connections stay, and nothing is answered."""
        processes = self._processes()
        _tell(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            _tell(processes, signal.SIGCONT)

    def database(self) -> str:
        """Make a database; give its URL."""
        self._made += 1
        name = f"test_{self._made}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@/{name}?host={self.root}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """Connect to a database, as somebody else than the store."""
        return psycopg.connect(
            host=str(self.root), dbname=database, user=USER, password=PASSWORD, autocommit=True
        )

    def _processes(self) -> list[int]:
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def _run(self, program: str, *arguments: str) -> None:
        # Not a pipe: the server inherits it, and would keep it open.
        with (self.root / "output").open("w+b") as output:
            done = subprocess.run(
                [programs() / program, f"--pgdata={self._data}", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.root,
                timeout=60,
                check=False,
                **self._user,
            )
            output.seek(0)
            assert done.returncode == 0, output.read().decode()


def _tell(processes: list[int], told: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):  # one that served a connection ends with it
            os.kill(process, told)


@cache
def running() -> Postgres:
    """Start a server for all tests that want one; it is gone when the process ends."""
    server = Postgres()
    atexit.register(server.remove)
    return server
