"""Declared switches and the cable plan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "declared_switches",
        sa.Column("id", sa.String(length=300), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("uplinks", sa.JSON(), nullable=False),
        sa.Column("tunnel_ip", sa.String(length=64), nullable=True),
        sa.Column("tunnel_ports", sa.JSON(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declared_switches")),
    )
    op.create_index(op.f("ix_declared_switches_name"), "declared_switches", ["name"])
    op.create_table(
        "cable_plans",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("cables", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cable_plans")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("cable_plans")
    op.drop_index(op.f("ix_declared_switches_name"), "declared_switches")
    op.drop_table("declared_switches")
