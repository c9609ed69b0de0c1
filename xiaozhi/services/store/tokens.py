"""Tokens in the database: their digests, never their secrets."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Connection, Row, exists, select, update

from xiaozhi.services.store.records import IssuedToken, TokenKind, TokenRecord
from xiaozhi.services.store.tables import devices, tokens
from xiaozhi.services.store.upsert import insert

_PUBLIC = [column for column in tokens.c if column is not tokens.c.digest]


def digest(secret: str) -> bytes:
    """Tell the digest by which a secret is known.

    It is fast and has no salt, which is right for what has 256 random bits. Since no secret can
    be chosen to have a digest near another's, how long a look-up takes tells nothing.
    """
    return hashlib.blake2b(secret.encode("utf-8", "replace"), digest_size=32).digest()


@attrs.frozen
class TokenBook:
    """Reads and writes them in one transaction. See `Store` for what each verb does."""

    on: Connection

    def issue(self, kind: TokenKind, subject: str, label: str, now: float) -> IssuedToken:
        """Make a token."""
        secret = secrets.token_urlsafe(32)
        values = {"kind": kind, "subject": subject, "label": label, "made_at": now}
        while True:
            name = secrets.token_hex(4)
            statement = insert(self.on.dialect.name, tokens).values(
                id=name, digest=digest(secret), **values
            )
            if self.on.execute(statement.on_conflict_do_nothing()).rowcount:
                return IssuedToken(id=name, secret=secret)

    def find(self, kind: TokenKind, secret: str) -> TokenRecord | None:
        """Look a token up by its secret."""
        valid = (tokens.c.kind == kind, tokens.c.revoked_at.is_(None))
        statement = select(*_PUBLIC).where(tokens.c.digest == digest(secret), *valid)
        if kind == "device":
            blocked = devices.c.blocked_at.is_not(None)
            statement = statement.where(~exists().where(devices.c.id == tokens.c.subject, blocked))
        row = self.on.execute(statement).one_or_none()
        return None if row is None else _record(row)

    def all(self) -> list[TokenRecord]:
        """List them."""
        newest = select(*_PUBLIC).order_by(tokens.c.made_at.desc(), tokens.c.id)
        return [_record(row) for row in self.on.execute(newest)]

    def revoke(self, token_id: str, now: float) -> bool:
        """Revoke one."""
        return self._revoke(tokens.c.id == token_id, now) > 0

    def revoke_of(self, subject: str, now: float) -> int:
        """Revoke all of a subject."""
        return self._revoke(tokens.c.subject == subject, now)

    def _revoke(self, which: ColumnElement[bool], now: float) -> int:
        valid = update(tokens).where(which, tokens.c.revoked_at.is_(None))
        return self.on.execute(valid.values(revoked_at=now)).rowcount


def _record(row: Row[Any]) -> TokenRecord:
    return TokenRecord(**row._mapping)
