"""Timers, alarms and reminders."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "reminders",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("device_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("due", sa.Double, nullable=False),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("zone", sa.String, nullable=False),
        sa.Column("repeat", sa.String, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("held_until", sa.Double, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_reminders"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], "fk_reminders_device_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_reminders_device_id_due", "reminders", ["device_id", "due"])
