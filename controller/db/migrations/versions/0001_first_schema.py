"""The first schema: networks, subnets, ports, nodes, allocations of network types, the change feed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from controller.db import base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "feed",
    "feed_state",
    "flat_allocations",
    "geneve_allocations",
    "gre_allocations",
    "networks",
    "nodes",
    "vlan_allocations",
    "vxlan_allocations",
    "network_segments",
    "ports",
    "subnets",
    "allocation_pools",
    "allowed_address_pairs",
    "ip_allocations",
    "port_bindings",
)


def upgrade() -> None:
    """Create every table, and the one row that counts revisions."""
    op.create_table(
        "feed",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resource", sa.String(length=16), nullable=False),
        sa.Column("object_id", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", base.UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("revision", "resource", "object_id", name=op.f("pk_feed")),
    )
    op.create_table(
        "feed_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("pruned", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_state")),
    )
    op.create_table(
        "flat_allocations",
        sa.Column("physical_network", sa.String(length=64), nullable=False),
        sa.Column("segment_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("physical_network", name=op.f("pk_flat_allocations")),
    )
    op.create_index(op.f("ix_flat_allocations_segment_id"), "flat_allocations", ["segment_id"])

    op.create_table(
        "geneve_allocations",
        sa.Column("tunnel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("segment_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("tunnel_id", name=op.f("pk_geneve_allocations")),
    )
    op.create_index(op.f("ix_geneve_allocations_segment_id"), "geneve_allocations", ["segment_id"])

    op.create_table(
        "gre_allocations",
        sa.Column("tunnel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("segment_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("tunnel_id", name=op.f("pk_gre_allocations")),
    )
    op.create_index(op.f("ix_gre_allocations_segment_id"), "gre_allocations", ["segment_id"])

    op.create_table(
        "networks",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("mtu", sa.Integer(), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("vlan_transparent", sa.Boolean(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", base.UtcTime(), nullable=False),
        sa.Column("updated_at", base.UtcTime(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_networks")),
        sa.UniqueConstraint("key", name=op.f("uq_networks_key")),
    )
    op.create_index(op.f("ix_networks_project_id"), "networks", ["project_id"])
    op.create_index(op.f("ix_networks_shared"), "networks", ["shared"])

    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=300), nullable=False),
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", base.UtcTime(), nullable=False),
        sa.Column("started_at", base.UtcTime(), nullable=False),
        sa.Column("heartbeat_at", base.UtcTime(), nullable=False),
        sa.Column("lost", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("agent_id", name=op.f("uq_nodes_agent_id")),
        sa.UniqueConstraint("key", name=op.f("uq_nodes_key")),
    )
    op.create_index(op.f("ix_nodes_host"), "nodes", ["host"])

    op.create_table(
        "vlan_allocations",
        sa.Column("physical_network", sa.String(length=64), nullable=False),
        sa.Column("vlan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("segment_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("physical_network", "vlan_id", name=op.f("pk_vlan_allocations")),
    )
    op.create_index(op.f("ix_vlan_allocations_segment_id"), "vlan_allocations", ["segment_id"])

    op.create_table(
        "vxlan_allocations",
        sa.Column("tunnel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("segment_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("tunnel_id", name=op.f("pk_vxlan_allocations")),
    )
    op.create_index(op.f("ix_vxlan_allocations_segment_id"), "vxlan_allocations", ["segment_id"])

    op.create_table(
        "network_segments",
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("network_type", sa.String(length=32), nullable=False),
        sa.Column("physical_network", sa.String(length=64), nullable=True),
        sa.Column("segmentation_id", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", base.UtcTime(), nullable=False),
        sa.Column("updated_at", base.UtcTime(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"], ["networks.id"], name=op.f("fk_network_segments_network_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_segments")),
    )
    op.create_index(
        op.f("ix_network_segments_isolation"),
        "network_segments",
        ["network_type", "physical_network", "segmentation_id"],
    )
    op.create_index(op.f("ix_network_segments_network_id"), "network_segments", ["network_id"])

    op.create_table(
        "ports",
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("mac_address", sa.String(length=32), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("device_id", sa.String(length=255), nullable=False),
        sa.Column("device_owner", sa.String(length=255), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("intent_revision", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", base.UtcTime(), nullable=False),
        sa.Column("updated_at", base.UtcTime(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name=op.f("fk_ports_network_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ports")),
        sa.UniqueConstraint("network_id", "mac_address", name=op.f("uq_ports_network_id_mac_address")),
    )
    op.create_index(op.f("ix_ports_device_id"), "ports", ["device_id"])
    op.create_index(op.f("ix_ports_mac_address"), "ports", ["mac_address"])
    op.create_index(op.f("ix_ports_network_id"), "ports", ["network_id"])
    op.create_index(op.f("ix_ports_project_id"), "ports", ["project_id"])

    op.create_table(
        "subnets",
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("cidr", sa.String(length=64), nullable=False),
        sa.Column("gateway_ip", sa.String(length=64), nullable=True),
        sa.Column("enable_dhcp", sa.Boolean(), nullable=False),
        sa.Column("ipv6_ra_mode", sa.String(length=32), nullable=True),
        sa.Column("ipv6_address_mode", sa.String(length=32), nullable=True),
        sa.Column("dns_nameservers", sa.JSON(), nullable=False),
        sa.Column("host_routes", sa.JSON(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", base.UtcTime(), nullable=False),
        sa.Column("updated_at", base.UtcTime(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name=op.f("fk_subnets_network_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnets")),
    )
    op.create_index(op.f("ix_subnets_network_id"), "subnets", ["network_id"])
    op.create_index(op.f("ix_subnets_project_id"), "subnets", ["project_id"])

    op.create_table(
        "allocation_pools",
        sa.Column("subnet_id", sa.String(length=36), nullable=False),
        sa.Column("first", base.PackedAddress(length=16), nullable=False),
        sa.Column("last", base.PackedAddress(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["subnet_id"], ["subnets.id"], name=op.f("fk_allocation_pools_subnet_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("subnet_id", "first", name=op.f("pk_allocation_pools")),
    )
    op.create_table(
        "allowed_address_pairs",
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("mac_address", sa.String(length=32), nullable=False),
        sa.Column("ip_address", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["port_id"], ["ports.id"], name=op.f("fk_allowed_address_pairs_port_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("port_id", "mac_address", "ip_address", name=op.f("pk_allowed_address_pairs")),
    )
    op.create_table(
        "ip_allocations",
        sa.Column("subnet_id", sa.String(length=36), nullable=False),
        sa.Column("address", base.PackedAddress(length=16), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name=op.f("fk_ip_allocations_network_id")),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_ip_allocations_port_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name=op.f("fk_ip_allocations_subnet_id")),
        sa.PrimaryKeyConstraint("subnet_id", "address", name=op.f("pk_ip_allocations")),
    )
    op.create_index(op.f("ix_ip_allocations_port_id"), "ip_allocations", ["port_id"])

    op.create_table(
        "port_bindings",
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("vnic_type", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("auto_bound", sa.Boolean(), nullable=False),
        sa.Column("switch_node_id", sa.String(length=300), nullable=True),
        sa.Column("node_id", sa.String(length=300), nullable=True),
        sa.Column("segment_id", sa.String(length=36), nullable=True),
        sa.Column("mechanism", sa.String(length=64), nullable=True),
        sa.Column("port_key", sa.BigInteger(), nullable=True),
        sa.Column("vif_type", sa.String(length=64), nullable=False),
        sa.Column("vif_details", sa.JSON(), nullable=False),
        sa.Column("refusal", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_port_bindings_node_id")),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_port_bindings_port_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["segment_id"], ["network_segments.id"], name=op.f("fk_port_bindings_segment_id")),
        sa.PrimaryKeyConstraint("port_id", name=op.f("pk_port_bindings")),
        sa.UniqueConstraint("node_id", "port_key", name=op.f("uq_port_bindings_node_id_port_key")),
    )
    op.create_index(op.f("ix_port_bindings_host"), "port_bindings", ["host"])
    op.create_index(op.f("ix_port_bindings_segment_id"), "port_bindings", ["segment_id"])
    op.create_index(op.f("ix_port_bindings_switch_node_id"), "port_bindings", ["switch_node_id"])

    state = sa.table("feed_state", sa.column("id"), sa.column("revision"), sa.column("pruned"))
    op.bulk_insert(state, [{"id": 1, "revision": 0, "pruned": 0}])


def downgrade() -> None:
    """Drop every table, those that refer to others first."""
    for table in reversed(TABLES):
        op.drop_table(table)
