"""What the store does with reminders, whatever database it is in."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import DeferredList

from tests.services.store.contract import BADGE, HOUR, NOON, StoreCase
from xiaozhi.errors import Refused
from xiaozhi.services.store import Full, Reminder, Seen

TEA = Reminder(
    id="tea", device_id=BADGE.id, kind="timer", label="茶", due=NOON + 300, language="zh",
    made_at=NOON,
)  # fmt: skip
UP = Reminder(
    id="up", device_id=BADGE.id, kind="alarm", due=NOON + HOUR, minutes=420, zone="Asia/Shanghai",
    repeat="daily", made_at=NOON,
)  # fmt: skip


class RemindersContract(StoreCase):
    """Reminders."""

    async def fill(self, *reminders: Reminder) -> None:
        await self.store.seen(BADGE, NOON)
        for reminder in reminders:
            await self.store.add_reminder(reminder, 50)

    async def test_kept(self) -> None:
        """Reminders are kept as they are, each for its own device, the next one first."""
        await self.store.seen(Seen(id="other"), NOON)
        await self.fill(UP, TEA)
        self.assertEqual(await self.store.reminders(BADGE.id), [TEA, UP])
        self.assertEqual(await self.store.reminders("other"), [])
        await self.store.stopService()
        self.assertEqual(await self.open().reminders(BADGE.id), [TEA, UP])

    async def test_bounded(self) -> None:
        """A device has no more than it may have, even if they come at once."""
        await self.fill(TEA)
        more = [msgspec.structs.replace(TEA, id=f"tea {n}") for n in range(8)]
        added: list[tuple[bool, Any]] = await DeferredList(
            [self.store.add_reminder(one, 5) for one in more], consumeErrors=True
        )
        self.assertEqual(sum(well for well, _ in added), 4)
        self.assertEqual({why.type for well, why in added if not well}, {Full})
        self.assertEqual(len(await self.store.reminders(BADGE.id)), 5)

    async def test_unknown_device(self) -> None:
        """Nothing is kept for a device that is not known, or was forgotten."""
        with self.assertRaises(Refused):
            await self.store.add_reminder(TEA, 50)
        await self.fill(TEA)
        await self.store.forget(BADGE.id)
        self.assertEqual(await self.store.reminders(BADGE.id), [])

    async def test_claimed_once(self) -> None:
        """Of two servers that want to tell of something only one does, until its hold is over."""
        await self.fill(TEA, UP)
        both = {TEA.id, UP.id, "gone"}
        self.assertEqual(await self.store.claim_reminders([TEA.id], NOON, NOON + 60), {TEA.id})
        other = self.open()
        self.assertEqual(await other.claim_reminders(both, NOON + 59, NOON + 99), {UP.id})
        self.assertEqual(await other.claim_reminders(both, NOON + 60, NOON + 99), {TEA.id})

    async def test_settled(self) -> None:
        """What was told is gone, or due again, and can be claimed then."""
        await self.fill(TEA, UP)
        await self.store.claim_reminders([TEA.id, UP.id], NOON, NOON + 9 * HOUR)
        await self.store.settle_reminder(TEA, None)
        await self.store.settle_reminder(UP, NOON + 2 * HOUR)
        again = msgspec.structs.replace(UP, due=NOON + 2 * HOUR)
        self.assertEqual(await self.store.reminders(BADGE.id), [again])
        self.assertEqual(await self.store.claim_reminders([UP.id], NOON, NOON + 1), {UP.id})
        await self.store.settle_reminder(UP, None)  # it was another time's
        self.assertEqual(await self.store.reminders(BADGE.id), [again])

    async def test_cancelled(self) -> None:
        """What is cancelled is gone; nobody cancels another's."""
        await self.fill(TEA, UP)
        self.assertEqual(await self.store.cancel_reminders("other", [TEA.id, UP.id]), 0)
        self.assertEqual(await self.store.cancel_reminders(BADGE.id, [TEA.id, "gone"]), 1)
        self.assertEqual(await self.store.reminders(BADGE.id), [UP])
