"""The role in which the assistant talks with a device's user."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("devices", sa.Column("role", sa.String, nullable=False, server_default=""))
