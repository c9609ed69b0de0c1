"""A server to be killed: its store is a file in the folder it is given, its journal beside it."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.system.instant import Server, Store, reactor
from xiaozhi.idling import Patience
from xiaozhi.services.store.records import SessionMemory


class Disk(Store):
    """Takes a moment for each memory; what it acknowledged is in the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def remember(self, memory: SessionMemory) -> Deferred[Any]:
        line = msgspec.json.encode(memory) + b"\n"
        return deferLater(reactor, random.uniform(0, 0.1), os.write, self._file, line)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    server = Server(folder / "journal", Disk(folder / "store"), Patience())
    server.startService()
    sys.stdout.write(f"listening on {server.listening.port}\n")
    sys.stdout.flush()
    reactor.run()
