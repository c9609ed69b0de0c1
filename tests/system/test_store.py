"""The store at a process's beginning and at its sudden end."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from twisted.internet.defer import gatherResults

from tests.system.server import ServerCase, reactor
from xiaozhi.services.store import Store

ROUNDS = 3
WRITERS = 3


class StartTests(ServerCase):
    async def test_light(self) -> None:
        """What takes long to import is not imported before the server listens."""
        heavy = "{'sqlalchemy', 'alembic', 'psycopg', 'mcp'}"
        process = self.command(
            "-c", f"import sys, xiaozhi.tap; print({heavy}.intersection(sys.modules))"
        )
        await process.ended
        self.assertEqual(process.text, "set()\n")


class KillTests(ServerCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()

    async def test_killed(self) -> None:
        """Killed in the middle of writing, over and over: all that was acknowledged is there."""
        promised: set[str] = set()
        names = [f"writer-{n}" for n in range(WRITERS)]
        for past in range(ROUNDS):
            # All at once, so that in the first round they make the database together.
            writers = [
                self.command("-m", "tests.system.saving", str(self.path), f"{name}-{past}")
                for name in names
            ]
            for writer in writers:
                await writer.says(r"kept \S+-20\n")
            for writer in writers:
                writer.handle.signalProcess(signal.SIGKILL)
            await gatherResults([writer.ended for writer in writers])
            for writer in writers:
                promised |= set(re.findall(r"kept (\S+)\n", writer.text))
        self.assertGreater(len(promised), ROUNDS * WRITERS * 20)

        store = Store(reactor, self.path)
        store.startService()
        self.addCleanup(store.stopService)
        kept = set()
        for device in await store.devices():
            found = await store.memories(device.id, limit=1_000_000)
            self.assertEqual({len(one.entries[0].text) for one in found}, {2000})
            kept |= {one.session_id for one in found}
        self.assertEqual(promised - kept, set())
        # At most the one that was being written when the signal came.
        self.assertLessEqual(len(kept - promised), ROUNDS * WRITERS)
