"""What the store does, whatever database it is in."""

from __future__ import annotations

import math
import shutil
import threading
from pathlib import Path
from typing import Any, cast
from unittest import mock

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from xiaozhi.errors import Refused, ServiceError
from xiaozhi.services.store import (
    DeviceRecord,
    Digest,
    Entry,
    Fact,
    Recollection,
    Seen,
    SessionMemory,
    Standing,
    Store,
    TokenRecord,
    activations,
    database,
    migrations,
)
from xiaozhi.services.store.database import locate
from xiaozhi.services.store.records import EXACT, TICK
from xiaozhi.services.store.tables import metadata

NOON = 1_800_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
VERSION = "SELECT version_num FROM alembic_version"
BADGE = Seen(
    id="aa:bb:cc:00:11:22",
    client_id="c1",
    board="badge",
    firmware="1.9.2",
    language="zh",
    address="192.0.2.7",
)


def memory(session: str, ended: float = NOON, *said: str, device: str = BADGE.id) -> SessionMemory:
    """Make the memory of a session."""
    entries = tuple(Entry("user", text) for text in said)
    return SessionMemory(
        session_id=session, device_id=device, began=ended - 60, ended=ended, entries=entries
    )


class StoreCase(TestCase):
    """A test with a store at a new place."""

    timeout = 20

    def place(self) -> str | Path:
        """Make a place for a new database."""
        raise NotImplementedError

    def setUp(self) -> Any:
        self.at = self.place()
        self.store = self.open()

    def open(self, patience: float = 10.0, core: Any = reactor) -> Store:
        """Open a store at the place; it is closed after the test."""
        store = Store(core, self.at, patience)
        store.startService()
        self.addCleanup(lambda: store.stopService() if store.running else None)
        return store

    async def fails(self, verb: Deferred[Any]) -> str:
        """Tell why `verb` fails."""
        try:
            result = await verb
        except ServiceError as error:
            self.assertEqual(error.stage, "store")
            return error.why
        raise AssertionError(f"it gave {result}")


class DevicesContract(StoreCase):
    """Devices."""

    async def test_seen(self) -> None:
        """A device that is seen is known from then on, with what it told."""
        self.assertIsNone(await self.store.device(BADGE.id))
        record = await self.store.seen(BADGE, NOON)
        facts = {fact: getattr(BADGE, fact) for fact in BADGE.__struct_fields__}
        self.assertEqual(record, DeviceRecord(**facts, first_seen=NOON, last_seen=NOON))
        self.assertEqual(await self.store.device(BADGE.id), record)

    async def test_seen_again(self) -> None:
        """What a device tells later counts; what it leaves out stays, and all that is ours."""
        await self.store.seen(BADGE, NOON)
        await self.store.activate(BADGE.id, NOON + 1)
        await self.store.rename(BADGE.id, "Anna's badge")
        await self.store.keep_role(BADGE.id, "Teacher")
        await self.store.block(BADGE.id, True, NOON + 2)
        record = await self.store.seen(Seen(id=BADGE.id, firmware="2.0.0"), NOON + HOUR)
        self.assertEqual((record.board, record.firmware, record.language), ("badge", "2.0.0", "zh"))
        self.assertEqual((record.first_seen, record.last_seen), (NOON, NOON + HOUR))
        self.assertEqual((record.activated_at, record.name), (NOON + 1, "Anna's badge"))
        self.assertEqual((record.blocked, record.role), (True, "Teacher"))
        await self.store.forget(BADGE.id)
        self.assertFalse(await self.store.keep_role(BADGE.id, "Teacher"))
        self.assertEqual((await self.store.seen(BADGE, NOON)).role, "")

    async def test_no_news(self) -> None:
        """When a device was last seen is written once a minute, and with any news."""
        await self.store.seen(BADGE, NOON)
        newer = Seen(id=BADGE.id, firmware="2.0.0")
        for device, after, last in (
            (BADGE, EXACT - 1, 0.0),
            (Seen(id=BADGE.id), EXACT - 1, 0.0),
            (BADGE, EXACT, EXACT),
            (newer, EXACT + 1, EXACT + 1),
            (newer, 0.0, 0.0),  # the clock was wrong
        ):
            record = await self.store.seen(device, NOON + after)
            self.assertEqual(record.last_seen, NOON + last)
            self.assertEqual(await self.store.device(BADGE.id), record)

    async def test_comes(self) -> None:
        """A device that comes again at once is told what holds of it since the last change."""
        first = await self.store.came(BADGE, NOON)
        self.assertEqual(await self.store.came(BADGE, NOON + 1), first)
        await self.store.block(BADGE.id, True, NOON + 2)
        self.assertTrue((await self.store.came(BADGE, NOON + 3)).blocked)
        await self.store.block(BADGE.id, False, NOON + 3)
        await self.store.activate((await self.store.code_for(BADGE.id, NOON + 3)).code, NOON + 4)
        known = await self.store.came(BADGE, NOON + 5)
        self.assertEqual((known.blocked, known.activated_at), (False, NOON + 4))
        await self.store.forget(BADGE.id)
        self.assertEqual((await self.store.came(BADGE, NOON + 6)).first_seen, NOON + 6)

    async def test_listed(self) -> None:
        """Devices are counted, and listed by their ids, some at a time."""
        for when, name in enumerate(("b:1", "c:1", "a:1", "b:1")):
            await self.store.seen(Seen(id=name), NOON + when * EXACT)
        for after, limit, expected in (
            ("", 9, ["a:1", "b:1", "c:1"]),
            ("", 2, ["a:1", "b:1"]),
            ("b:1", 2, ["c:1"]),
            ("b", 1, ["b:1"]),
            ("c:1", 9, []),
        ):
            listed = await self.store.devices(after, limit)
            self.assertEqual([device.id for device in listed], expected)
        self.assertEqual(await self.store.count(), 3)

    async def test_full(self) -> None:
        """Where there are enough devices, a new one is refused; those that are known are not."""
        for name in ("a", "b", "a"):
            await self.store.seen(Seen(id=name), NOON, most=2)
        with self.assertRaises(Refused) as caught:
            await self.store.seen(Seen(id="c"), NOON, most=2)
        self.assertIn("server.max_devices", caught.exception.why)
        await self.store.seen(Seen(id="b"), NOON, most=1)
        self.assertEqual(await self.store.count(), 2)

    async def test_full_together(self) -> None:
        """Two servers that register devices at the same moment heed the limit together."""
        first, second = await self.at_once(Seen(id="a"), Seen(id="b"), most=1)
        self.assertIn("server.max_devices", await self.fails(second))
        await first
        self.assertEqual([device.id for device in await self.store.devices()], ["a"])

    async def test_one_together(self) -> None:
        """A device that two servers register at the same moment is one, and not one too many."""
        first, second = await self.at_once(BADGE, BADGE, most=1)
        self.assertEqual((await second).id, BADGE.id)
        await first
        self.assertEqual(await self.store.count(), 1)

    async def at_once(
        self, one: Seen, another: Seen, most: int
    ) -> tuple[Deferred[None], Deferred[DeviceRecord]]:
        """Have another server register a device before the registration of one is over."""
        other, core = self.open(), cast(Any, reactor)
        await gatherResults([self.store.ready(), other.ready()])
        registered: Deferred[None] = Deferred()
        answered = threading.Event()

        def slowly(books: database.Books) -> None:
            books.devices.seen([(one, NOON, most)])
            core.callFromThread(registered.callback, None)
            answered.wait(0.3)  # in vain: the other has to wait for us

        first = self.store._write(slowly)
        await registered

        def hear(result: Any) -> Any:
            answered.set()
            return result

        return first, other.seen(another, NOON, most).addBoth(hear)

    async def test_block(self) -> None:
        """A device is blocked until it is not; of one that is unknown the answer is no."""
        await self.store.seen(BADGE, NOON)
        for blocked in (True, True, False, False):
            self.assertTrue(await self.store.block(BADGE.id, blocked, NOON))
            record = await self.store.device(BADGE.id)
            assert record is not None
            self.assertEqual(record.blocked, blocked)
        self.assertFalse(await self.store.block("unknown", True, NOON))
        self.assertFalse(await self.store.rename("unknown", "nobody"))
        self.assertEqual(await self.store.count(), 1)

    async def test_forget(self) -> None:
        """With a device goes all that is its, and nothing of others."""
        for device in (BADGE, Seen(id="other")):
            await self.store.seen(device, NOON)
            await self.store.code_for(device.id, NOON)
            await self.store.remember(memory(f"of {device.id}", device=device.id))
        own = await self.store.issue_token("device", BADGE.id, "", NOON)
        others = await self.store.issue_token("device", "other", "", NOON)
        operators = await self.store.issue_token("operator", BADGE.id, "", NOON)
        code = (await self.store.code_for(BADGE.id, NOON)).code

        self.assertTrue(await self.store.forget(BADGE.id))
        self.assertFalse(await self.store.forget(BADGE.id))
        self.assertIsNone(await self.store.device(BADGE.id))
        self.assertIsNone(await self.store.activate(code, NOON))
        self.assertIsNone(await self.store.find_token("device", own.secret))
        await self.store.seen(BADGE, NOON)
        self.assertEqual(await self.store.memories(BADGE.id), [])

        self.assertEqual(len(await self.store.memories("other")), 1)
        self.assertIsNotNone(await self.store.find_token("device", others.secret))
        self.assertIsNotNone(await self.store.find_token("operator", operators.secret))

    async def test_any_text(self) -> None:
        """Whatever a device says of itself, it can be kept."""
        odd = "a\0b\ud800c\n\" 小\U0001f600%s' -- " + "x" * 10_000
        record = await self.store.seen(Seen(id=BADGE.id, board=odd, address=odd), NOON)
        self.assertTrue(record.board.startswith("abc\" 小\U0001f600%s' -- xxx"))
        self.assertLess(len(record.board), 250)
        self.assertEqual(await self.store.device(BADGE.id), record)


class ActivationContract(StoreCase):
    """Codes, and what they are good for."""

    def setUp(self) -> Any:
        super().setUp()
        return self.store.seen(BADGE, NOON)

    async def activated(self, device_id: str = BADGE.id) -> float | None:
        record = await self.store.device(device_id)
        assert record is not None
        return record.activated_at

    async def test_code(self) -> None:
        """A device has one code of six digits, the same for a day."""
        first = await self.store.code_for(BADGE.id, NOON)
        self.assertRegex(first.code, r"\A[0-9]{6}\Z")
        self.assertGreaterEqual(len(first.challenge), 32)
        self.assertEqual((first.device_id, first.made_at), (BADGE.id, NOON))
        self.assertEqual(await self.store.code_for(BADGE.id, NOON + DAY - 1), first)
        later = await self.store.code_for(BADGE.id, NOON + DAY)
        self.assertNotEqual(later.challenge, first.challenge)
        self.assertEqual(later.made_at, NOON + DAY)

    async def test_secret(self) -> None:
        """Neither a code nor a token's secret is in what is logged of it."""
        activation = await self.store.code_for(BADGE.id, NOON)
        self.assertNotIn(activation.code, repr(activation))
        issued = await self.store.issue_token("operator", "anna", "", NOON)
        self.assertNotIn(issued.secret, repr(issued))

    async def test_activate(self) -> None:
        """The code activates its device, for good, and again does no harm."""
        code = (await self.store.code_for(BADGE.id, NOON)).code
        self.assertIsNone(await self.activated())
        for when in (1, 2):
            record = await self.store.activate(code, NOON + when)
            assert record is not None
            self.assertEqual((record.id, record.activated_at), (BADGE.id, NOON + 1))
        await self.store.seen(BADGE, NOON + 30 * DAY)
        self.assertEqual(await self.activated(), NOON + 1)

    async def test_by_id(self) -> None:
        """An operator may name the device instead; its code is used up as well."""
        await self.store.code_for(BADGE.id, NOON)
        record = await self.store.activate(BADGE.id, NOON + 1)
        assert record is not None
        self.assertEqual(record.activated_at, NOON + 1)
        await self.store.code_for(BADGE.id, NOON + 2 * DAY)
        self.assertEqual(await self.activated(), NOON + 1)

    async def test_unknown(self) -> None:
        """A code or device that is unknown activates nothing, nor does a code that is too old."""
        code = (await self.store.code_for(BADGE.id, NOON)).code
        wrong = f"{(int(code) + 1) % 10**6:06}"
        for given in (wrong, "", "aa", code + "0", "%"):
            self.assertIsNone(await self.store.activate(given, NOON + 1), given)
        self.assertIsNone(await self.store.activate(code, NOON + DAY))
        self.assertIsNone(await self.activated())

    async def test_id_like_a_code(self) -> None:
        """A device that calls itself six digits is not activated by whoever types them."""
        await self.store.seen(Seen(id="123456"), NOON)
        self.assertIsNone(await self.store.activate("123456", NOON))

    async def test_unseen(self) -> None:
        """There is no code for a device that was never seen."""
        with self.assertRaises(Refused) as caught:
            await self.store.code_for("unknown", NOON)
        self.assertEqual(caught.exception.why, "there is no device unknown")

    async def test_unique(self) -> None:
        """A code that another waits with is drawn again; one that was used may come back."""
        drawn = iter(("111111", "111111", "111111", "222222", "111111", "333333", "111111"))
        self.patch(activations, "draw", lambda: next(drawn))
        for name in ("b", "c", "d"):
            await self.store.seen(Seen(id=name), NOON)
        self.assertEqual((await self.store.code_for(BADGE.id, NOON)).code, "111111")
        self.assertEqual((await self.store.code_for("b", NOON)).code, "222222")
        await self.store.activate("111111", NOON)
        self.assertEqual((await self.store.code_for("c", NOON)).code, "111111")
        record = await self.store.activate("111111", NOON + 1)
        assert record is not None
        self.assertEqual(record.id, "c")  # who waits with it comes first
        # An old one is free again, whoever asks.
        self.assertEqual((await self.store.code_for("d", NOON)).code, "333333")
        await self.store.seen(Seen(id="e"), NOON)
        await self.store.seen(Seen(id="f"), NOON)
        self.assertEqual((await self.store.code_for("e", NOON + DAY)).code, "111111")

    async def test_none_free(self) -> None:
        """When the codes that are drawn are all taken, that is said."""
        self.patch(activations, "draw", lambda: "111111")
        await self.store.code_for(BADGE.id, NOON)
        await self.store.seen(Seen(id="b"), NOON)
        self.assertEqual(
            await self.fails(self.store.code_for("b", NOON)), "no activation code is free"
        )


class TokensContract(StoreCase):
    """Tokens."""

    async def test_find(self) -> None:
        """A token is found by its secret and its kind, and by nothing else."""
        issued = await self.store.issue_token("operator", "anna", "laptop", NOON)
        self.assertGreaterEqual(len(issued.secret), 43)  # 256 bits
        self.assertLessEqual(len(issued.id), 8)
        record = TokenRecord(
            id=issued.id, kind="operator", subject="anna", label="laptop", made_at=NOON
        )
        self.assertEqual(await self.store.find_token("operator", issued.secret), record)
        for kind, secret in (
            ("device", issued.secret),
            ("operator", issued.secret[:-1]),
            ("operator", issued.id),
            ("operator", ""),
            ("operator", "\0\ud800"),
        ):
            self.assertIsNone(await self.store.find_token(kind, secret))  # type: ignore[arg-type]

    async def test_revoke(self) -> None:
        """A revoked token is found no more, but stays in the list."""
        issued = await self.store.issue_token("device", BADGE.id, "", NOON)
        self.assertTrue(await self.store.revoke_token(issued.id, NOON + 1))
        self.assertFalse(await self.store.revoke_token(issued.id, NOON + 2))
        self.assertFalse(await self.store.revoke_token("unknown", NOON))
        self.assertIsNone(await self.store.find_token("device", issued.secret))
        (record,) = await self.store.tokens()
        self.assertEqual((record.id, record.revoked_at), (issued.id, NOON + 1))

    async def test_revoke_all(self) -> None:
        """All tokens of a subject are revoked at once, and no others."""
        for when, subject in enumerate(("anna", "anna", "ben", "anna")):
            issued = await self.store.issue_token("operator", subject, "", NOON + when)
        await self.store.revoke_token(issued.id, NOON + 4)
        self.assertEqual(await self.store.revoke_tokens_of("anna", NOON + 5), 2)
        listed = [(token.subject, token.revoked_at) for token in await self.store.tokens()]
        self.assertEqual(
            listed,
            [("anna", NOON + 4), ("ben", None), ("anna", NOON + 5), ("anna", NOON + 5)],
        )

    async def test_of_a_blocked_device(self) -> None:
        """A device that is blocked has no token; what operators have is not touched."""
        await self.store.seen(BADGE, NOON)
        own = await self.store.issue_token("device", BADGE.id, "", NOON)
        operators = await self.store.issue_token("operator", BADGE.id, "", NOON)
        for blocked in (True, False):
            await self.store.block(BADGE.id, blocked, NOON)
            found = await self.store.find_token("device", own.secret)
            self.assertEqual(found is None, blocked)
            self.assertIsNotNone(await self.store.find_token("operator", operators.secret))


class StandingContract(StoreCase):
    """What is held against tokens that are not in the store, since they were handed to devices."""

    async def standing(self) -> Standing:
        standing = await self.store.standing(BADGE.id)
        record = await self.store.device(BADGE.id)
        self.assertEqual(standing.not_before, record.not_before if record else math.inf)
        return standing

    async def test_who_may_have_some(self) -> None:
        """Only a device that is known, activated and not blocked; and only from then on."""
        self.assertEqual(await self.standing(), Standing(math.inf))
        await self.store.seen(BADGE, NOON)
        self.assertEqual(await self.standing(), Standing(math.inf))
        await self.store.activate(BADGE.id, NOON + 1)
        self.assertEqual(await self.standing(), Standing(NOON + 1))
        await self.store.block(BADGE.id, True, NOON + 2)
        self.assertEqual(await self.standing(), Standing(math.inf))
        await self.store.block(BADGE.id, False, NOON + 3)
        self.assertEqual(await self.standing(), Standing(NOON + 1))

    async def test_forgotten(self) -> None:
        """One that was forgotten and comes back has nothing from before."""
        await self.store.seen(BADGE, NOON)
        await self.store.activate(BADGE.id, NOON)
        await self.store.revoke_handed(BADGE.id, "0123456789", NOON)
        await self.store.forget(BADGE.id)
        self.assertEqual(await self.standing(), Standing(math.inf))
        await self.store.seen(BADGE, NOON + HOUR)
        await self.store.activate(BADGE.id, NOON + HOUR)
        self.assertEqual(await self.standing(), Standing(NOON + HOUR))

    async def test_all_revoked(self) -> None:
        """All can be revoked, over and over: each time what was made since is void as well."""
        await self.store.seen(BADGE, NOON)
        await self.store.activate(BADGE.id, NOON)
        for when in (NOON, NOON, NOON + HOUR):
            made = (await self.standing()).not_before + TICK
            await self.store.revoke_tokens_of(BADGE.id, when)
            self.assertGreaterEqual((await self.standing()).not_before, max(made, when))
        await self.store.seen(Seen(id="other"), NOON)
        await self.store.activate("other", NOON)
        self.assertEqual(await self.store.standing("other"), Standing(NOON))

    async def test_one_revoked(self) -> None:
        """One can be revoked by its name; again does no harm."""
        self.assertFalse(await self.store.revoke_handed(BADGE.id, "0123456789", NOON))
        await self.store.seen(BADGE, NOON)
        await self.store.activate(BADGE.id, NOON)
        for name in ("0123456789", "abcdefabcd", "0123456789"):
            self.assertTrue(await self.store.revoke_handed(BADGE.id, name, NOON + 1))
        expected = frozenset(["0123456789", "abcdefabcd"])
        self.assertEqual(await self.standing(), Standing(NOON, expected))


class MemoriesContract(StoreCase):
    """What was said."""

    def setUp(self) -> Any:
        super().setUp()
        return self.store.seen(BADGE, NOON)

    async def test_newest(self) -> None:
        """The last sessions of a device come back as they were, the newest first."""
        await self.store.seen(Seen(id="other"), NOON)
        told = [memory(f"s{n}", NOON + n, f"你好 {n}\0\n\U0001f600") for n in range(4)]
        for one in (*told, memory("of another", NOON + 9, device="other")):
            await self.store.remember(one)
        self.assertEqual(await self.store.memories(BADGE.id), [told[3], told[2]])
        self.assertEqual(await self.store.memories(BADGE.id, limit=9), told[::-1])
        self.assertEqual(await self.store.memories("unknown"), [])
        self.assertEqual(await self.store.count_memories(BADGE.id), 4)
        self.assertEqual(await self.store.count_memories("unknown"), 0)

    async def test_again(self) -> None:
        """A session is kept once, as it was told last, and never given to another device."""
        await self.store.seen(Seen(id="other"), NOON)
        await self.store.remember(memory("s", NOON, "one"))
        await self.store.remember(memory("s", NOON + 1, "one", "two"))
        await self.store.remember(memory("s", NOON + 2, "mine", device="other"))
        (kept,) = await self.store.memories(BADGE.id)
        self.assertEqual([entry.text for entry in kept.entries], ["one", "two"])
        self.assertEqual(await self.store.memories("other"), [])

    async def test_times(self) -> None:
        """When something was said is kept with it; of what was kept before, it is not known."""
        told = SessionMemory(
            session_id="s",
            device_id=BADGE.id,
            began=NOON,
            ended=NOON + 9,
            entries=(Entry("user", "hello", NOON + 1.25), Entry("assistant", "yes", NOON + 3)),
        )
        await self.store.remember(told)
        self.assertEqual(await self.store.memories(BADGE.id), [told])
        engine = create_engine(locate(self.at))
        with engine.begin() as connection:
            connection.execute(text('UPDATE memories SET entries = \'[["user", "hello"]]\''))
        engine.dispose()
        (kept,) = await self.store.memories(BADGE.id)
        self.assertEqual(kept.entries, (Entry("user", "hello"),))

    async def test_unknown_device(self) -> None:
        """Nothing is kept of a device that is not known."""
        await self.store.remember(memory("s", device="auto-1234"))
        await self.store.seen(Seen(id="auto-1234"), NOON)
        self.assertEqual(await self.store.memories("auto-1234"), [])

    async def test_any_text(self) -> None:
        """What cannot be written is replaced; the rest of the session is kept."""
        await self.store.remember(memory("s", NOON, "half \ud83d", "x" * 100_000))
        (kept,) = await self.store.memories(BADGE.id)
        self.assertEqual([entry.text for entry in kept.entries], ["half ?", "x" * 100_000])


class RecollectionsContract(StoreCase):
    """What is known of users."""

    facts = (Fact("likes tea", NOON - 30, "tea"), Fact("\0 half \ud83d 喝茶", NOON))

    def setUp(self) -> Any:
        super().setUp()
        return gatherResults([self.store.seen(Seen(id=name), NOON) for name in (BADGE.id, "other")])

    async def learn(self, told: SessionMemory, *facts: Fact) -> bool:
        """Learn `facts` from a session, and a digest of it."""
        known = await self.store.recollection(told.device_id)
        digests = (*known.digests, Digest(f"digest of {told.session_id}", told.ended))
        more = Recollection((*known.facts, *facts), digests, known.version)
        return await self.store.learn(told, more, NOON + DAY)

    async def test_learnt(self) -> None:
        """What is learnt is kept, for its device alone, and a session is learnt from once."""
        told = memory("s", NOON, "I like tea")
        await self.store.remember(told)
        self.assertEqual(await self.store.recollection(BADGE.id), Recollection())
        self.assertTrue(await self.learn(told, *self.facts))
        self.assertFalse(await self.learn(told, *self.facts))
        known = await self.store.recollection(BADGE.id)
        self.assertEqual(known.facts, (self.facts[0], Fact("\0 half ? 喝茶", NOON)))
        self.assertEqual(known.summary, "digest of s")
        self.assertEqual(await self.store.recollection("other"), Recollection())
        self.assertFalse(await self.store.learn(memory("unknown"), known, NOON))
        self.assertFalse(await self.learn(memory("s", device="other"), *self.facts))

    async def test_unlearnt(self) -> None:
        """Sessions wait to be learnt from, the earliest first, whoever looks, until they are."""
        told = [memory(f"s{n}", NOON + n, "hello") for n in range(4)]
        for one in reversed(told):
            await self.store.remember(one)
        await self.learn(told[1])
        self.assertTrue(await self.store.learnt(told[2], NOON))
        self.assertFalse(await self.store.learnt(told[2], NOON))
        self.assertFalse(await self.store.learnt(memory("s3", NOON, "changed"), NOON))
        self.assertEqual(await self.store.unlearnt(9), [told[0], told[3]])
        self.assertEqual(await self.open().unlearnt(1), [told[0]])
        await self.store.remember(told[1])  # moved again, after a kill
        self.assertEqual(await self.store.unlearnt(9), [told[0], told[3]])

    async def test_erase(self) -> None:
        """What is to be gone is gone from all that is kept, and nobody else's is."""
        early, late = memory("early", NOON - HOUR, "I like tea"), memory("late", NOON)
        entries = (Entry("user", "hello", NOON - 50), Entry("user", "I like tea", NOON - 30))
        late = SessionMemory(
            session_id="late", device_id=BADGE.id, began=NOON - 60, ended=NOON, entries=entries
        )
        others = memory("others", NOON, "I like tea", device="other")
        for told in (early, late, others):
            await self.store.remember(told)
            await self.learn(told, Fact("hello", told.began), Fact("likes tea", told.ended - 30))
        self.assertEqual(await self.store.erase(BADGE.id, lambda said, at: at >= NOON - 40), 2)
        known = await self.store.recollection(BADGE.id)
        self.assertEqual(
            [fact.said_at for fact in known.facts], [NOON - HOUR - 60, NOON - HOUR - 30, NOON - 60]
        )
        self.assertEqual(known.summary, "digest of early")
        (left,) = await self.store.unlearnt(9)  # once more, from what is left
        self.assertEqual((left.session_id, left.entries), ("late", entries[:1]))
        self.assertEqual(await self.store.memories(BADGE.id), [left, early])
        self.assertEqual(await self.store.erase(BADGE.id, lambda said, at: "tea" in said), 2)
        self.assertEqual(await self.store.memories(BADGE.id), [left])
        self.assertEqual(await self.store.erase(BADGE.id, lambda said, at: True), 3)
        self.assertEqual(await self.store.memories(BADGE.id), [])
        self.assertEqual((await self.store.recollection(BADGE.id)).facts, ())
        self.assertEqual(len((await self.store.recollection("other")).facts), 2)
        self.assertEqual(await self.store.memories("other"), [others])

    async def test_erased_meanwhile(self) -> None:
        """What was being learnt while something was erased does not bring it back."""
        told = [memory(f"s{n}", NOON + n, "I like tea") for n in range(3)]
        for one in told:
            await self.store.remember(one)
        await self.learn(told[0], *self.facts)
        known = await self.store.recollection(BADGE.id)
        await self.store.erase(BADGE.id, lambda said, at: said == "likes tea")
        self.assertFalse(await self.store.learn(told[1], known, NOON))
        self.assertTrue(await self.learn(told[1]))
        await self.store.erase(BADGE.id, lambda said, at: at == NOON + 2)
        self.assertFalse(await self.learn(told[2], *self.facts))
        self.assertEqual(len((await self.store.recollection(BADGE.id)).facts), 1)

    async def test_erased_at_the_first(self) -> None:
        """Nor what is the first that would be known: notes say things in words of their own."""
        told = memory("s", NOON, "my puppy is called Rex")
        await self.store.remember(told)
        known = Recollection((Fact("The user has a dog.", NOON),), ())
        await self.store.erase(BADGE.id, lambda said, at: "dog" in said)
        await self.store.erase("nobody", lambda said, at: True)
        self.assertFalse(await self.store.learn(told, known, NOON))
        self.assertTrue(await self.learn(told))

    async def test_forgotten(self) -> None:
        """With the device goes what is known."""
        told = memory("s", NOON, "I like tea")
        await self.store.remember(told)
        await self.learn(told, *self.facts)
        await self.store.forget(BADGE.id)
        await self.store.seen(BADGE, NOON)
        self.assertEqual(await self.store.recollection(BADGE.id), Recollection())
        self.assertEqual(await self.store.unlearnt(9), [])
        self.assertFalse(await self.learn(told, *self.facts))


class DatabaseContract(StoreCase):
    """The database as a whole."""

    async def test_many_at_once(self) -> None:
        """Many verbs at once are all done: no update is lost, no code given twice."""
        names = [f"device {n}" for n in range(40)]
        await gatherResults([self.store.seen(Seen(id=name), NOON) for name in names * 3])
        asked = [self.store.code_for(name, NOON) for name in names * 3]
        codes = await gatherResults(asked)
        self.assertEqual(len({one.code for one in codes}), 40)
        self.assertEqual(len({(one.device_id, one.challenge) for one in codes}), 40)
        activated = await gatherResults([self.store.activate(one.code, NOON) for one in codes])
        self.assertEqual([one and one.id for one in activated], names * 3)
        self.assertEqual(await self.store.count(), 40)

    async def test_another_server(self) -> None:
        """Two servers that open a new database at once find it made, and see the same."""
        self.at = self.place()
        first, second = self.open(), self.open()
        await gatherResults([first.ready(), second.ready()])
        await first.seen(BADGE, NOON)
        self.assertIsNotNone(await second.device(BADGE.id))

    async def test_kept(self) -> None:
        """What was written is there after a restart, by the same store or another."""
        record = await self.store.seen(BADGE, NOON)
        await self.store.stopService()
        self.assertEqual(await self.fails(self.store.device(BADGE.id)), "the server is stopping")
        self.assertEqual(await self.open().device(BADGE.id), record)
        self.store.startService()
        self.assertEqual(await self.store.device(BADGE.id), record)

    async def test_migrated(self) -> None:
        """The migrations make exactly the tables that the verbs are written for."""
        await self.store.ready()
        engine = create_engine(locate(self.at))
        with engine.connect() as connection:
            found = compare_metadata(MigrationContext.configure(connection), metadata)
        engine.dispose()
        self.assertEqual(found, [])

    def release(self, revision: str, before: str, *statements: str) -> None:
        """Make this a server that has one more migration."""
        folder = Path(self.mktemp())
        shutil.copytree(database.MIGRATIONS, folder)
        (folder / "versions" / f"m{revision}.py").write_text(
            "from alembic import op\n"
            f"revision, down_revision = {revision!r}, {before!r}\n"
            f"def upgrade():\n    for statement in {statements!r}:\n        op.execute(statement)\n"
        )
        self.patch(database, "MIGRATIONS", folder)
        self.patch(database, "HEAD", revision)

    async def test_from_the_first(self) -> None:
        """A database of the first version is brought up to date, with what is in it."""
        self.at, folder = self.place(), Path(self.mktemp())
        newer = shutil.ignore_patterns("m000[2-9]*")
        shutil.copytree(database.MIGRATIONS, folder, ignore=newer)
        with mock.patch.object(database, "MIGRATIONS", folder):
            await deferToThread(database.migrate, locate(self.at))
        engine = create_engine(locate(self.at))
        with engine.begin() as connection:
            names = "client_id, board, firmware, language, address"
            connection.execute(
                text(
                    f"INSERT INTO devices (id, {names}, activated_at, first_seen, last_seen)"
                    " VALUES ('old', '', '', '', '', '', 5, 1, 9)"
                )
            )
        engine.dispose()
        store = self.open()
        expected = DeviceRecord(id="old", activated_at=5.0, first_seen=1.0, last_seen=9.0)
        self.assertEqual(await store.device("old"), expected)
        self.assertEqual(await store.standing("old"), Standing(5.0))
        self.assertEqual(self.ask(VERSION), [migrations.HEAD])

    async def test_upgrade(self) -> None:
        """A newer server brings the database up to date, and all that was in it is kept."""
        record = await self.store.seen(BADGE, NOON)
        await self.store.remember(memory("s", NOON, "hello"))
        await self.store.stopService()
        self.release(
            "8888",
            migrations.HEAD,
            "ALTER TABLE devices ADD COLUMN colour VARCHAR DEFAULT 'red' NOT NULL",
            "UPDATE devices SET colour = 'blue'",
        )
        store = self.open()
        self.assertEqual(await store.device(BADGE.id), record)
        self.assertEqual(await store.memories(BADGE.id), [memory("s", NOON, "hello")])
        self.assertEqual(self.ask("SELECT colour FROM devices"), ["blue"])
        self.assertEqual(self.ask(VERSION), ["8888"])

    async def test_upgrade_fails(self) -> None:
        """An upgrade that fails halfway leaves everything as it was."""
        record = await self.store.seen(BADGE, NOON)
        await self.store.stopService()
        broken = ("DROP TABLE tokens", "DELETE FROM devices", "UPDATE nothing SET x = 1")
        self.release("8888", migrations.HEAD, *broken)
        await self.fails(self.open().ready())
        self.assertEqual(self.ask(VERSION), [migrations.HEAD])
        self.patch(database, "HEAD", migrations.HEAD)
        store = self.open()
        self.assertEqual(await store.device(BADGE.id), record)
        self.assertEqual(await store.tokens(), [])

    def ask(self, query: str) -> list[Any]:
        """Look into the database behind the store's back."""
        engine = create_engine(locate(self.at))
        with engine.connect() as connection:
            answer = list(connection.execute(text(query)).scalars())
        engine.dispose()
        return answer

    async def test_newest(self) -> None:
        """The version that is compared without Alembic is that of the newest migration."""
        script = ScriptDirectory(str(database.MIGRATIONS))
        self.assertEqual(script.get_current_head(), migrations.HEAD)

    async def test_newer(self) -> None:
        """A database of a later version is left as it is, and that is said."""
        await self.store.ready()
        engine = create_engine(locate(self.at))
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        why = await self.fails(self.open().ready())
        self.assertIn("is it a newer server's?", why)
        engine.dispose()
        self.assertEqual(self.ask(VERSION), ["9999"])
