"""Addresses are found by their network: else a network that goes costs a look at every address there is."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index(op.f("ix_ip_allocations_network_id"), "ip_allocations", ["network_id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index(op.f("ix_ip_allocations_network_id"), "ip_allocations")
