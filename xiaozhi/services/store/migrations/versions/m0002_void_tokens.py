"""From when on a device's tokens are good, and single ones that are not."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("devices", sa.Column("tokens_void_at", sa.Double))
    op.create_table(
        "void_tokens",
        sa.Column("device_id", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("revoked_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("device_id", "fingerprint", name="pk_void_tokens"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], "fk_void_tokens_device_id", ondelete="CASCADE"
        ),
    )
