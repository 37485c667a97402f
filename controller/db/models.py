"""The tables of networks, subnets, ports, nodes, what administrators set over them, and the change feed.

Allocations of network types are the type drivers' own tables (``typedrivers``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from controller.db.base import Address, Base, PackedAddress, UtcTime

ID = String(36)
NODE_ID = String(300)
"""``host:`` and a host name of up to 255 characters."""


class Standard(Base):
    """What every resource of the API has: Neutron's standard attributes."""

    __abstract__ = True

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    description: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    revision_number: Mapped[int] = mapped_column(BigInteger, default=0)


class Tagged(Standard):
    """A resource that may have tags. They are few and belong to it alone, so they live in its row."""

    __abstract__ = True

    tags: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")


class NetworkRow(Tagged):
    """A network. ``key`` is its number in the pipeline. ``shared`` and ``external`` repeat what its RBAC policies say:
    shared with everybody, external for anybody."""

    __tablename__ = "networks"

    key: Mapped[int] = mapped_column(BigInteger, unique=True)
    project_id: Mapped[str] = mapped_column(String(255), index=True)
    name: Mapped[str] = mapped_column(String(255), default="")
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(String(16), default="ACTIVE")
    shared: Mapped[bool] = mapped_column(default=False, index=True)
    external: Mapped[bool] = mapped_column(default=False)
    mtu: Mapped[int] = mapped_column(default=1500)
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    vlan_transparent: Mapped[bool | None] = mapped_column(default=None)
    availability_zone_hints: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")

    segments: Mapped[list[SegmentRow]] = relationship(
        order_by="SegmentRow.position", cascade="all, delete-orphan", lazy="selectin", back_populates="network"
    )


class SegmentRow(Standard):
    """One realisation of a network; ``position`` is the order in which nodes try segments."""

    __tablename__ = "network_segments"
    __table_args__ = (Index("ix_network_segments_isolation", "network_type", "physical_network", "segmentation_id"),)

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(255), default="")
    network_type: Mapped[str] = mapped_column(String(32))
    physical_network: Mapped[str | None] = mapped_column(String(64))
    segmentation_id: Mapped[int | None] = mapped_column(BigInteger)

    network: Mapped[NetworkRow] = relationship(back_populates="segments")


class SubnetRow(Tagged):
    """A subnet of a network."""

    __tablename__ = "subnets"

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"), index=True)
    project_id: Mapped[str] = mapped_column(String(255), index=True)
    name: Mapped[str] = mapped_column(String(255), default="")
    ip_version: Mapped[int]
    cidr: Mapped[str] = mapped_column(String(64))
    gateway_ip: Mapped[str | None] = mapped_column(String(64))
    enable_dhcp: Mapped[bool] = mapped_column(default=True)
    ipv6_ra_mode: Mapped[str | None] = mapped_column(String(32))
    ipv6_address_mode: Mapped[str | None] = mapped_column(String(32))
    dns_nameservers: Mapped[list[str]] = mapped_column(JSON, default=list)
    host_routes: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    subnetpool_id: Mapped[str | None] = mapped_column(ID, index=True)
    segment_id: Mapped[str | None] = mapped_column(ID, index=True)

    pools: Mapped[list[PoolRow]] = relationship(
        order_by="PoolRow.first", cascade="all, delete-orphan", lazy="selectin"
    )


class PoolRow(Base):
    """An allocation pool: the addresses ``first`` to ``last``, both included."""

    __tablename__ = "allocation_pools"

    subnet_id: Mapped[str] = mapped_column(ForeignKey("subnets.id", ondelete="CASCADE"), primary_key=True)
    first: Mapped[Address] = mapped_column(PackedAddress, primary_key=True)
    last: Mapped[Address] = mapped_column(PackedAddress)


class PortRow(Tagged):
    """A port. ``intent_revision`` is the last revision of the feed at which its intent changed."""

    __tablename__ = "ports"
    __table_args__ = (UniqueConstraint("network_id", "mac_address"),)

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"), index=True)
    project_id: Mapped[str] = mapped_column(String(255), index=True)
    name: Mapped[str] = mapped_column(String(255), default="")
    mac_address: Mapped[str] = mapped_column(String(32), index=True)
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    device_id: Mapped[str] = mapped_column(String(255), default="", index=True)
    device_owner: Mapped[str] = mapped_column(String(255), default="")
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(String(16), default="DOWN")
    status_reason: Mapped[str] = mapped_column(Text, default="")
    intent_revision: Mapped[int] = mapped_column(BigInteger, default=0)
    data_plane_status: Mapped[str | None] = mapped_column(String(16))
    propagate_uplink_status: Mapped[bool] = mapped_column(default=True, server_default=true())
    extra_dhcp_opts: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")
    ip_allocation: Mapped[str] = mapped_column(String(16), default="immediate", server_default="immediate")

    binding: Mapped[BindingRow] = relationship(cascade="all, delete-orphan", lazy="selectin", back_populates="port")
    ips: Mapped[list[IpRow]] = relationship(
        order_by="IpRow.position", cascade="all, delete-orphan", lazy="selectin", back_populates="port"
    )
    pairs: Mapped[list[PairRow]] = relationship(
        order_by="PairRow.position", cascade="all, delete-orphan", lazy="selectin"
    )


class IpRow(Base):
    """An address that a port has on a subnet; ``text`` is for filters by a part of it."""

    __tablename__ = "ip_allocations"

    subnet_id: Mapped[str] = mapped_column(ForeignKey("subnets.id"), primary_key=True)
    address: Mapped[Address] = mapped_column(PackedAddress, primary_key=True)
    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), index=True)
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    text: Mapped[str] = mapped_column(String(45), default="", server_default="")

    port: Mapped[PortRow] = relationship(back_populates="ips")


class PairRow(Base):
    """An allowed address pair of a port."""

    __tablename__ = "allowed_address_pairs"

    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True)
    mac_address: Mapped[str] = mapped_column(String(32), primary_key=True)
    ip_address: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(default=0)


class BindingRow(Base):
    """Where a port is asked to be (``host``, ``profile``) and where it is realised (``node_id`` and what follows)."""

    __tablename__ = "port_bindings"
    __table_args__ = (UniqueConstraint("node_id", "port_key"),)

    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(String(255), default="", index=True)
    vnic_type: Mapped[str] = mapped_column(String(64), default="normal")
    profile: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    auto_bound: Mapped[bool] = mapped_column(default=False)
    switch_node_id: Mapped[str | None] = mapped_column(NODE_ID, index=True)
    node_id: Mapped[str | None] = mapped_column(ForeignKey("nodes.id"))
    segment_id: Mapped[str | None] = mapped_column(ForeignKey("network_segments.id"), index=True)
    mechanism: Mapped[str | None] = mapped_column(String(64))
    port_key: Mapped[int | None] = mapped_column(BigInteger)
    vif_type: Mapped[str] = mapped_column(String(64), default="unbound")
    vif_details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    refusal: Mapped[str] = mapped_column(Text, default="")

    port: Mapped[PortRow] = relationship(back_populates="binding")


class InactiveBindingRow(Base):
    """What a port's binding will be on another host once it is activated there; no plan depends on it."""

    __tablename__ = "inactive_port_bindings"

    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    vnic_type: Mapped[str] = mapped_column(String(64))
    profile: Mapped[dict[str, Any]] = mapped_column(JSON)
    vif_type: Mapped[str] = mapped_column(String(64))
    vif_details: Mapped[dict[str, Any]] = mapped_column(JSON)


class SubnetPoolRow(Tagged):
    """Prefixes that subnets are cut from. ``shared`` repeats what its RBAC policies say."""

    __tablename__ = "subnetpools"

    project_id: Mapped[str] = mapped_column(String(255), index=True)
    name: Mapped[str] = mapped_column(String(255))
    ip_version: Mapped[int]
    prefixes: Mapped[list[str]] = mapped_column(JSON)
    default_prefixlen: Mapped[int]
    min_prefixlen: Mapped[int]
    max_prefixlen: Mapped[int]
    default_quota: Mapped[int | None] = mapped_column(BigInteger)
    is_default: Mapped[bool]
    shared: Mapped[bool]


class SegmentRangeRow(Tagged):
    """Segmentation ids that projects get, beside those of the configuration; ``project_id`` None for everybody."""

    __tablename__ = "network_segment_ranges"

    name: Mapped[str] = mapped_column(String(255))
    project_id: Mapped[str | None] = mapped_column(String(255))
    network_type: Mapped[str] = mapped_column(String(32), index=True)
    physical_network: Mapped[str | None] = mapped_column(String(64))
    minimum: Mapped[int] = mapped_column(BigInteger)
    maximum: Mapped[int] = mapped_column(BigInteger)


class RbacRow(Base):
    """What a project may do with another one's network or subnet pool; ``target_project`` ``*`` is everybody."""

    __tablename__ = "rbac_policies"
    __table_args__ = (
        UniqueConstraint("object_id", "target_project", "action"),
        Index("ix_rbac_policies_target", "target_project", "object_type"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(255), index=True)
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(ID)
    target_project: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(32))


class QuotaRow(Base):
    """A project's own limit; -1 is none."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    resource: Mapped[str] = mapped_column(String(32), primary_key=True)
    limit: Mapped[int] = mapped_column(BigInteger)


class NodeRow(Base):
    """A node: its numbers, the facts it told, and when it was last heard."""

    __tablename__ = "nodes"

    id: Mapped[str] = mapped_column(NODE_ID, primary_key=True)
    agent_id: Mapped[str] = mapped_column(ID, unique=True)
    key: Mapped[int] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(String(255), index=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    heartbeat_at: Mapped[datetime] = mapped_column(UtcTime)
    lost: Mapped[bool] = mapped_column(default=False)


class SwitchRow(Base):
    """What an operator says of a switch without OVSDB; ``id`` is its node id. ``admin_state_up`` is given to the node
    when it appears; once it has, the node's own counts."""

    __tablename__ = "declared_switches"

    id: Mapped[str] = mapped_column(NODE_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(255), index=True)
    uplinks: Mapped[dict[str, list[str]]] = mapped_column(JSON)
    tunnel_ip: Mapped[str | None] = mapped_column(String(64))
    tunnel_ports: Mapped[dict[str, str]] = mapped_column(JSON)
    admin_state_up: Mapped[bool]


class CablePlanRow(Base):
    """The cable plan: one row, or none while there is no plan. A cable is ``[[switch, port], [switch, port]]``."""

    __tablename__ = "cable_plans"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    cables: Mapped[list[list[list[str]]]] = mapped_column(JSON)


PLAN = "plan"
"""The id of the one row of :class:`CablePlanRow`, also in the change feed."""


class FabricMemoryRow(Base):
    """What the fabric remembers over a restart (:mod:`topology.memory`): one row, in no change feed."""

    __tablename__ = "fabric_memory"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class FeedState(Base):
    """One row: the newest revision, and the newest revision whose entries were pruned.

    Writers raise ``revision`` last thing before they commit and hold the row's lock until then; so revisions become
    visible in their order, without gaps, also on PostgreSQL (where a sequence would give neither).
    """

    __tablename__ = "feed_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(BigInteger)
    pruned: Mapped[int] = mapped_column(BigInteger)


class FeedRow(Base):
    """One object touched at one revision. ``kind`` is ``intent``, or ``status`` for what no plan depends on."""

    __tablename__ = "feed"

    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    resource: Mapped[str] = mapped_column(String(16), primary_key=True)
    object_id: Mapped[str] = mapped_column(NODE_ID, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(UtcTime)
