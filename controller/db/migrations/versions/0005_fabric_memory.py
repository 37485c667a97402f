"""What the fabric remembers over a restart of the controller."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; nothing is remembered yet."""
    op.create_table(
        "fabric_memory",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fabric_memory")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("fabric_memory")
