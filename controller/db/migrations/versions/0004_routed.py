"""Subnets of one segment, and when ports get their addresses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is there is on no routed network."""
    op.add_column("subnets", sa.Column("segment_id", sa.String(length=36), nullable=True))
    op.create_index(op.f("ix_subnets_segment_id"), "subnets", ["segment_id"])
    op.add_column(
        "ports", sa.Column("ip_allocation", sa.String(length=16), nullable=False, server_default="immediate")
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("ports", "ip_allocation")
    op.drop_index(op.f("ix_subnets_segment_id"), "subnets")
    op.drop_column("subnets", "segment_id")
