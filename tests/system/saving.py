"""A process that keeps memories as fast as it can, and says which ones are kept.

`python -m tests.system.saving FILE NAME` ends only when it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred

from tests.services.store.contract import memory
from xiaozhi.services.store import Seen, Store

reactor: Any = the_reactor


async def save(store: Store, name: str) -> None:
    """Keep one memory after another."""
    await store.seen(Seen(id=name), 0)
    number = 0
    while True:
        await store.remember(memory(f"{name}-{number}", number, "x" * 2000, device=name))
        sys.stdout.write(f"kept {name}-{number}\n")
        sys.stdout.flush()
        number += 1


def main(path: str, name: str) -> None:
    """Save until killed."""
    store = Store(reactor, Path(path), 30.0)  # several of us write, on a disk that may be slow
    store.startService()

    def failed(failure: object) -> None:
        sys.stdout.write(f"{failure}\n")
        reactor.stop()

    Deferred.fromCoroutine(save(store, name)).addErrback(failed)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
