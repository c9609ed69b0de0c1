"""The store: all that outlives the server, in a database.

SQLAlchemy and Alembic take a quarter of a second to import, so nothing here imports them: the
database is opened in a thread, while the server already listens.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import Refused, ServiceError, missing
from xiaozhi.services.deadline import within
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.pool import Workers
from xiaozhi.services.store.arrivals import Arrival, Arrivals
from xiaozhi.services.store.gathering import Gathering
from xiaozhi.services.store.records import (
    Activation,
    DeviceRecord,
    Digest,
    Entry,
    Fact,
    Full,
    IssuedToken,
    Recollection,
    Reminder,
    ReminderKind,
    Seen,
    SessionMemory,
    Standing,
    TokenKind,
    TokenRecord,
    audience,
    subject_of,
)

if TYPE_CHECKING:
    from xiaozhi.services.store.database import Books, Database

__all__ = [
    "Activation",
    "DeviceRecord",
    "Digest",
    "Entry",
    "Fact",
    "Full",
    "IssuedToken",
    "Recollection",
    "Reminder",
    "ReminderKind",
    "Seen",
    "SessionMemory",
    "Standing",
    "Store",
    "TokenKind",
    "TokenRecord",
    "audience",
    "subject_of",
]

T = TypeVar("T")

OPENING = 15.0
"""Seconds for a verb while the database is opened after the start: it may have to be made, on a
machine that loads models at the same time."""
THREADS = 4
WAITING = 1024
"""Calls that wait for a thread: as when every device comes back after a restart."""


class Store(MultiService):
    """Keeps devices, activations, tokens, memories of sessions, and reminders.

    Each verb is a transaction in a thread: once its Deferred has fired, what it wrote is on the
    disk. It fails with ServiceError, within `patience` seconds; what it should have written may
    have been written or not, and every verb can be repeated. `now` is in seconds since 1970.
    """

    log = Logger()

    def __init__(self, reactor: Any, place: str | Path, patience: float = 2.0) -> None:
        """Keep it at `place`: a file for SQLite, or a URL as `settings.Store` has it.

        Raises Unavailable if what the database needs is not installed.
        """
        super().__init__()
        self._reactor = reactor
        self._place = check_place(place)
        self._patience = patience
        self._workers = Workers(reactor, "store", THREADS, WAITING, finishes=True)
        self._workers.setServiceParent(self)
        self._database = Lazy(self._workers, self._open)
        self._arrivals = Arrivals(self._note, self._look_up, reactor.seconds)
        self._calendars = Gathering(self._remind)
        self._failing = False
        self._opening = False

    @property
    def patience(self) -> float:
        """Seconds within which a verb is done, or fails."""
        return max(OPENING, self._patience) if self._opening else self._patience

    def startService(self) -> None:
        """Begin to open the database. Verbs wait for that; if it fails, each tries again."""
        super().startService()
        self._opening = True
        self.ready().addErrback(lambda failure: failure.trap(ServiceError))

    def stopService(self) -> Deferred[Any]:
        """Let the calls that were made come to an end, but not longer than the threads may take."""
        database = self._database.drop()
        if database is not None:
            closing = maybeDeferred(self._workers.run, database.close)
            closing.addErrback(lambda failure: failure.trap(ServiceError))
        return maybeDeferred(super().stopService)

    def ready(self) -> Deferred[None]:
        """Wait until the database is open; fails as a verb does."""
        return self._do(lambda database: None)

    # -- devices --

    def seen(self, device: Seen, now: float, most: int | None = None) -> Deferred[DeviceRecord]:
        """Note what a device tells of itself, and tell all that is known of it.

        Fails with Full if it is a new one where there are `most` already. Many that come at once
        are noted in one transaction. When it was last seen is known to a minute.
        """
        return self._in_time(self._arrivals.seen((device, now, most)))

    def came(self, device: Seen, now: float, most: int | None = None) -> Deferred[DeviceRecord]:
        """Do as `seen`, for one that connects.

        What was known `SOON` seconds ago will do, if it has no news and was not changed here.
        """
        return self._in_time(self._arrivals.came((device, now, most)))

    def device(self, device_id: str) -> Deferred[DeviceRecord | None]:
        """Look up a device."""
        return self._read(lambda books: books.devices.get(device_id))

    def devices(self, after: str = "", limit: int = 100) -> Deferred[list[DeviceRecord]]:
        """List devices in the order of their ids: so many of those that come `after` an id."""
        return self._read(lambda books: books.devices.page(after, limit))

    def count(self) -> Deferred[int]:
        """Count the devices."""
        return self._read(lambda books: books.devices.count())

    def block(self, device_id: str, blocked: bool, now: float) -> Deferred[bool]:
        """Block a device, or do so no more; False if there is none."""
        return self._change(device_id, lambda books: books.devices.block(device_id, blocked, now))

    def rename(self, device_id: str, name: str) -> Deferred[bool]:
        """Name a device; False if there is none."""
        return self._change(device_id, lambda books: books.devices.rename(device_id, name))

    def keep_role(self, device_id: str, role: str) -> Deferred[bool]:
        """Keep the role its user asked for, "" for the usual one; False if there is no device."""
        return self._change(device_id, lambda books: books.devices.keep_role(device_id, role))

    def forget(self, device_id: str) -> Deferred[bool]:
        """Forget a device, its activation, its tokens and its memories; False if there is none."""
        return self._change(device_id, lambda books: books.devices.forget(device_id))

    # -- activation --

    def code_for(self, device_id: str, now: float) -> Deferred[Activation]:
        """Tell the code that activates a device, which must have been seen.

        It is the same for a day, if it is not used, and no other device that waits has it.
        """
        return self._write(lambda books: books.activations.code_for(device_id, now))

    def activate(self, code_or_device: str, now: float) -> Deferred[DeviceRecord | None]:
        """Activate a device, by its code or its id; None if there is none. Again does no harm."""

        def told(device: DeviceRecord | None) -> DeviceRecord | None:
            return device and self._arrivals.changed(device, device.id)

        return self._write(
            lambda books: books.activations.activate(code_or_device, now)
        ).addCallback(told)

    # -- tokens --

    def issue_token(
        self, kind: TokenKind, subject: str, label: str, now: float
    ) -> Deferred[IssuedToken]:
        """Make a token of 256 random bits. Its secret is told now, and kept nowhere."""
        return self._write(lambda books: books.tokens.issue(kind, subject, label, now))

    def find_token(self, kind: TokenKind, secret: str) -> Deferred[TokenRecord | None]:
        """Look up a token by its secret; None if it is unknown, revoked or of another kind.

        None, too, while the device it is for is blocked.
        """
        return self._read(lambda books: books.tokens.find(kind, secret))

    def revoke_token(self, token_id: str, now: float) -> Deferred[bool]:
        """Revoke a token; False if none that is valid has this id."""
        return self._write(lambda books: books.tokens.revoke(token_id, now))

    def revoke_tokens_of(self, subject: str, now: float) -> Deferred[int]:
        """Revoke all tokens of a subject; tells how many of those in the store were valid.

        If it is a device, those this server has handed it are void as well.
        """

        def revoke(books: Books) -> int:
            books.devices.void_tokens(subject, now)
            return books.tokens.revoke_of(subject, now)

        return self._change(subject, revoke)

    def revoke_handed(self, device_id: str, fingerprint: str, now: float) -> Deferred[bool]:
        """Revoke a token a device was handed, by its name in the log; False if there is none."""
        return self._change(
            device_id, lambda books: books.devices.void_token(device_id, fingerprint, now)
        )

    def standing(self, device_id: str) -> Deferred[Standing]:
        """Tell what is held against the tokens a device was handed.

        All are void for one that is unknown, not activated, or blocked. What held `SOON` seconds
        ago will do, unless it was changed here.
        """
        return within(self._patience, self._arrivals.standing(device_id), self._reactor, self._late)

    def tokens(self) -> Deferred[list[TokenRecord]]:
        """List the tokens, the newest first, with those that are revoked."""
        return self._read(lambda books: books.tokens.all())

    # -- memories --

    def remember(self, memory: SessionMemory) -> Deferred[None]:
        """Keep what was said in a session; the last call for a session counts.

        Nothing is kept of a device that is unknown, or was forgotten meanwhile.
        """
        return self._write(lambda books: books.memories.remember(memory))

    def memories(self, device_id: str, limit: int = 2) -> Deferred[list[SessionMemory]]:
        """Recall the last sessions of a device, the newest first."""
        return self._read(lambda books: books.memories.newest(device_id, limit))

    def count_memories(self, device_id: str) -> Deferred[int]:
        """Tell how many sessions of a device are kept."""
        return self._read(lambda books: books.memories.count(device_id))

    # -- what is known of users --

    def recollection(self, device_id: str) -> Deferred[Recollection]:
        """Tell what is known of a device's user."""
        return self._read(lambda books: books.recollections.get(device_id))

    def unlearnt(self, limit: int) -> Deferred[list[SessionMemory]]:
        """Give sessions from which nobody has learnt, the earliest first."""
        return self._read(lambda books: books.memories.unlearnt(limit))

    def learn(self, memory: SessionMemory, known: Recollection, now: float) -> Deferred[bool]:
        """Keep what is `known` after a session, which then counts as learnt from.

        False, and nothing is kept, if anything has changed since both were looked up: it was
        learnt from already, or something was erased.
        """
        return self._write(lambda books: books.recollections.learn(memory, known, now))

    def learnt(self, memory: SessionMemory, now: float) -> Deferred[bool]:
        """Note that a session was learnt from; False if it was before, or is not as it was."""
        return self._write(lambda books: books.memories.learnt(memory, now))

    def erase(self, device_id: str, gone: Callable[[str, float], bool]) -> Deferred[int]:
        """Drop facts, digests and what was said, where `gone(text, time)`.

        Tells how many facts and sessions that were. It is called in a thread. Sessions of which
        something is left are learnt from again.
        """
        return self._write(lambda books: books.recollections.erase(device_id, gone))

    # -- reminders --

    def add_reminder(self, reminder: Reminder, most: int) -> Deferred[None]:
        """Keep a reminder; fails with Full if the device, which must be known, has `most`."""
        return self._write(lambda books: books.reminders.add(reminder, most))

    def reminders(self, device_id: str) -> Deferred[list[Reminder]]:
        """Tell the reminders of a device, in the order they are due."""
        found = self._calendars.add(device_id)
        return found.addTimeout(self.patience, self._reactor, onTimeoutCancel=self._late)

    def claim_reminders(
        self, ids: Collection[str], now: float, until: float
    ) -> Deferred[frozenset[str]]:
        """Hold reminders `until` then, so that no other server tells of them; give those held."""
        return self._write(lambda books: books.reminders.claim(ids, now, until))

    def settle_reminder(self, reminder: Reminder, then: float | None) -> Deferred[None]:
        """Delete a reminder that was told, or let it be due again `then`.

        Nothing happens if it is due at another time by now.
        """
        return self._write(lambda books: books.reminders.settle(reminder, then))

    def cancel_reminders(self, device_id: str, ids: Collection[str]) -> Deferred[int]:
        """Delete reminders of a device; tells how many there were."""
        return self._write(lambda books: books.reminders.cancel(device_id, ids))

    # -- how --

    def _open(self) -> Database:
        from xiaozhi.services.store.database import Database, locate

        database = Database(locate(self._place), self._patience, THREADS)
        if not self.running:  # any more: then nobody will close it
            database.close()
        return database

    def _note(self, arrivals: Sequence[Arrival]) -> Deferred[list[DeviceRecord | ServiceError]]:
        """Note devices that have come."""
        return self._write(lambda books: books.devices.seen(arrivals))

    def _look_up(self, device_ids: Sequence[str]) -> Deferred[list[Standing | ServiceError]]:
        """Tell what is held against the tokens of devices."""
        return self._read(lambda books: books.devices.standings(device_ids))

    def _remind(self, device_ids: Sequence[str]) -> Deferred[list[list[Reminder] | ServiceError]]:
        """Tell the reminders of devices that have come."""
        return self._read(lambda books: books.reminders.of(device_ids))

    def _read(self, work: Callable[[Books], T]) -> Deferred[T]:
        return self._do(lambda database: database.read(work))

    def _write(self, work: Callable[[Books], T]) -> Deferred[T]:
        return self._do(lambda database: database.write(work))

    def _change(self, device_id: str, work: Callable[[Books], T]) -> Deferred[T]:
        """Change something about a device."""
        return self._write(work).addBoth(self._arrivals.changed, device_id)

    def _do(self, work: Callable[[Database], T]) -> Deferred[T]:
        """Call `work` in a thread, within the patience."""
        call = self._database.get().addCallback(lambda base: self._workers.run(work, base))
        return self._in_time(call).addCallbacks(self._worked, self._failed)

    def _in_time(self, call: Deferred[T]) -> Deferred[T]:
        return within(self.patience, call, self._reactor, self._late)

    def _late(self, failure: Any, patience: float) -> Failure:
        if failure.check(CancelledError):
            return Failure(ServiceError("store", f"no answer within {patience:g} s"))
        told: Failure = failure
        return told

    def _worked(self, result: T) -> T:
        self._opening = False
        if self._failing:
            self._failing = False
            self.log.info("the store works again")
        return result

    def _failed(self, failure: Failure) -> Failure:
        """Name the first of several failures."""
        self._opening = False
        error = failure.value
        if isinstance(error, ServiceError) and not isinstance(error, Refused):
            if self.running and not self._failing:
                self.log.warn("the store fails: {why}", why=error.why)
            self._failing = True
        return failure


def check_place(place: str | Path) -> str | Path:
    """Give the place of a store; raise Unavailable if what its database needs is missing."""
    if isinstance(place, str) and place.startswith("postgresql") and not _has_psycopg():
        raise missing("psycopg", "'xiaozhi[postgres]'")
    return place


def _has_psycopg() -> bool:
    return importlib.util.find_spec("psycopg") is not None
