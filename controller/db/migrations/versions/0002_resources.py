"""Subnet pools, ranges of segments, RBAC policies, quotas, tags, further bindings and further attributes.

Columns are only added, never by making a table anew: SQLite would follow foreign keys while the old one is dropped.
"""

from __future__ import annotations

import ipaddress
import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

from controller.db import base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("quotas", "rbac_policies", "network_segment_ranges", "subnetpools", "inactive_port_bindings")
COLUMNS: tuple[tuple[str, sa.Column[Any]], ...] = (
    ("networks", sa.Column("tags", sa.JSON(), nullable=False, server_default="[]")),
    ("networks", sa.Column("availability_zone_hints", sa.JSON(), nullable=False, server_default="[]")),
    ("subnets", sa.Column("tags", sa.JSON(), nullable=False, server_default="[]")),
    ("subnets", sa.Column("subnetpool_id", sa.String(length=36), nullable=True)),
    ("ports", sa.Column("tags", sa.JSON(), nullable=False, server_default="[]")),
    ("ports", sa.Column("data_plane_status", sa.String(length=16), nullable=True)),
    ("ports", sa.Column("propagate_uplink_status", sa.Boolean(), nullable=False, server_default=sa.true())),
    ("ports", sa.Column("extra_dhcp_opts", sa.JSON(), nullable=False, server_default="[]")),
    ("ip_allocations", sa.Column("text", sa.String(length=45), nullable=False, server_default="")),
)
CHUNK = 1_000


def upgrade() -> None:
    """Add tables and columns, and say in them what old rows mean."""
    for table, column in COLUMNS:
        op.add_column(table, column)
    op.create_index(op.f("ix_subnets_subnetpool_id"), "subnets", ["subnetpool_id"])
    _create_inactive_bindings()
    _create_subnetpools()
    _create_segment_ranges()
    _create_rbac()
    op.create_table(
        "quotas",
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=32), nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_quotas")),
    )
    _write_addresses_as_text()
    _share_by_policy()


def _create_inactive_bindings() -> None:
    op.create_table(
        "inactive_port_bindings",
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("vnic_type", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("vif_type", sa.String(length=64), nullable=False),
        sa.Column("vif_details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["port_id"], ["ports.id"], name=op.f("fk_inactive_port_bindings_port_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("port_id", "host", name=op.f("pk_inactive_port_bindings")),
    )


def _tagged() -> list[sa.Column[Any]]:
    return [
        sa.Column("tags", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", base.UtcTime(), nullable=False),
        sa.Column("updated_at", base.UtcTime(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
    ]


def _create_subnetpools() -> None:
    op.create_table(
        "subnetpools",
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("prefixes", sa.JSON(), nullable=False),
        sa.Column("default_prefixlen", sa.Integer(), nullable=False),
        sa.Column("min_prefixlen", sa.Integer(), nullable=False),
        sa.Column("max_prefixlen", sa.Integer(), nullable=False),
        sa.Column("default_quota", sa.BigInteger(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        *_tagged(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnetpools")),
    )
    op.create_index(op.f("ix_subnetpools_project_id"), "subnetpools", ["project_id"])


def _create_segment_ranges() -> None:
    op.create_table(
        "network_segment_ranges",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=True),
        sa.Column("network_type", sa.String(length=32), nullable=False),
        sa.Column("physical_network", sa.String(length=64), nullable=True),
        sa.Column("minimum", sa.BigInteger(), nullable=False),
        sa.Column("maximum", sa.BigInteger(), nullable=False),
        *_tagged(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_segment_ranges")),
    )
    op.create_index(op.f("ix_network_segment_ranges_network_type"), "network_segment_ranges", ["network_type"])


def _create_rbac() -> None:
    op.create_table(
        "rbac_policies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("object_type", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=36), nullable=False),
        sa.Column("target_project", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rbac_policies")),
        sa.UniqueConstraint(
            "object_id", "target_project", "action", name=op.f("uq_rbac_policies_object_id_target_project_action")
        ),
    )
    op.create_index(op.f("ix_rbac_policies_project_id"), "rbac_policies", ["project_id"])
    op.create_index(op.f("ix_rbac_policies_target"), "rbac_policies", ["target_project", "object_type"])


def _write_addresses_as_text() -> None:
    """Fill ``ip_allocations.text``."""
    table = sa.table(
        "ip_allocations", sa.column("subnet_id"), sa.column("address", sa.LargeBinary()), sa.column("text")
    )
    rows = op.get_bind().execute(sa.select(table.c.subnet_id, table.c.address)).all()
    statement = (
        sa.update(table)
        .where(table.c.subnet_id == sa.bindparam("subnet"), table.c.address == sa.bindparam("packed"))
        .values(text=sa.bindparam("shown"))
    )
    values = [
        {"subnet": subnet_id, "packed": bytes(packed), "shown": str(ipaddress.ip_address(bytes(packed)))}
        for subnet_id, packed in rows
    ]
    for start in range(0, len(values), CHUNK):
        op.get_bind().execute(statement, values[start : start + CHUNK])


def _share_by_policy() -> None:
    """Networks that are shared or external get the policies that say so."""
    networks = sa.table(
        "networks", *map(sa.column, ("id", "project_id")),
        sa.column("shared", sa.Boolean()), sa.column("external", sa.Boolean()),
    )  # fmt: skip
    names = ("id", "project_id", "object_type", "object_id", "target_project", "action")
    policies = sa.table("rbac_policies", *map(sa.column, names))
    rows = op.get_bind().execute(sa.select(networks).where(networks.c.shared | networks.c.external)).all()
    wanted = [
        (str(uuid.uuid4()), row.project_id, "network", row.id, "*", action)
        for row in rows
        for action, is_set in (("access_as_shared", row.shared), ("access_as_external", row.external))
        if is_set
    ]
    if wanted:
        op.bulk_insert(policies, [dict(zip(names, values, strict=True)) for values in wanted])


def downgrade() -> None:
    """Drop what was added."""
    for table in TABLES:
        op.drop_table(table)
    op.drop_index(op.f("ix_subnets_subnetpool_id"), "subnets")
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column.name)
