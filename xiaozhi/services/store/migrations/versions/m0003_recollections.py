"""What is known of a device's user, and which sessions were learnt from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, its index and the table."""
    op.add_column("memories", sa.Column("learnt_at", sa.Double))
    to_learn = sa.text("learnt_at IS NULL")
    op.create_index(
        "ix_memories_to_learn",
        "memories",
        ["ended"],
        sqlite_where=to_learn,
        postgresql_where=to_learn,
    )
    op.create_table(
        "recollections",
        sa.Column("device_id", sa.String, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("digests", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_recollections"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], "fk_recollections_device_id", ondelete="CASCADE"
        ),
    )
