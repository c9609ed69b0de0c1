"""Devices, activations, tokens, memories of sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "devices",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("client_id", sa.String, nullable=False),
        sa.Column("board", sa.String, nullable=False),
        sa.Column("firmware", sa.String, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False, server_default=""),
        sa.Column("blocked_at", sa.Double),
        sa.Column("activated_at", sa.Double),
        sa.Column("first_seen", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
    )
    op.create_table(
        "activations",
        sa.Column("device_id", sa.String, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("challenge", sa.String, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("bound_at", sa.Double),
        sa.PrimaryKeyConstraint("device_id", name="pk_activations"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], "fk_activations_device_id", ondelete="CASCADE"
        ),
    )
    pending = sa.text("bound_at IS NULL")
    op.create_index(
        "uq_activations_pending",
        "activations",
        ["code"],
        unique=True,
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_index("ix_tokens_subject", "tokens", ["subject"])
    op.create_table(
        "memories",
        sa.Column("session_id", sa.String, nullable=False),
        sa.Column("device_id", sa.String, nullable=False),
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("ended", sa.Double, nullable=False),
        sa.Column("entries", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_memories"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], "fk_memories_device_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_memories_device_id_ended", "memories", ["device_id", "ended"])
