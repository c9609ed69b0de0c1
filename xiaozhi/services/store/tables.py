"""The tables, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _device_id(*, primary_key: bool = False) -> Column[str]:
    """Make the column of what goes when its device goes."""
    owner = ForeignKey("devices.id", ondelete="CASCADE")
    return Column("device_id", String, owner, primary_key=primary_key, nullable=False)


devices = Table(
    "devices",
    metadata,
    Column("id", String, primary_key=True),
    Column("client_id", String, nullable=False),
    Column("board", String, nullable=False),
    Column("firmware", String, nullable=False),
    Column("language", String, nullable=False),
    Column("address", String, nullable=False),
    Column("name", String, nullable=False, server_default=""),
    Column("blocked_at", Double),
    Column("activated_at", Double),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("tokens_void_at", Double),
    Column("role", String, nullable=False, server_default=""),
)

activations = Table(
    "activations",
    metadata,
    _device_id(primary_key=True),
    Column("code", String, nullable=False),
    Column("challenge", String, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("bound_at", Double),
)
_pending = text("bound_at IS NULL")
Index(
    "uq_activations_pending",
    activations.c.code,
    unique=True,
    sqlite_where=_pending,
    postgresql_where=_pending,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("label", String, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("made_at", Double, nullable=False),
    Column("revoked_at", Double),
)

void_tokens = Table(
    "void_tokens",
    metadata,
    _device_id(primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("revoked_at", Double, nullable=False),
)

memories = Table(
    "memories",
    metadata,
    Column("session_id", String, primary_key=True),
    _device_id(),
    Column("began", Double, nullable=False),
    Column("ended", Double, nullable=False),
    Column("entries", Text, nullable=False),
    Column("learnt_at", Double),
    Index(None, "device_id", "ended"),
)
_to_learn = text("learnt_at IS NULL")
Index(
    "ix_memories_to_learn",
    memories.c.ended,
    sqlite_where=_to_learn,
    postgresql_where=_to_learn,
)

recollections = Table(
    "recollections",
    metadata,
    _device_id(primary_key=True),
    Column("facts", Text, nullable=False),
    Column("digests", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
)

reminders = Table(
    "reminders",
    metadata,
    Column("id", String, primary_key=True),
    _device_id(),
    Column("kind", String, nullable=False),
    Column("label", String, nullable=False),
    Column("due", Double, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("zone", String, nullable=False),
    Column("repeat", String, nullable=False),
    Column("language", String, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("held_until", Double, nullable=False, server_default="0"),
    Index(None, "device_id", "due"),
)
