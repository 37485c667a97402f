"""Does the store agree with itself? What the plugin's transactions promise, looked at from outside.

Nothing is changed. Every finding is a sentence that names the objects; an empty list is what a sound store gives,
whatever clients and databases did to it.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session, load_only

from controller.db.base import Base
from controller.db.models import (
    BindingRow,
    FeedRow,
    FeedState,
    InactiveBindingRow,
    IpRow,
    NetworkRow,
    NodeRow,
    PairRow,
    PoolRow,
    PortRow,
    RbacRow,
    SegmentRow,
    SubnetPoolRow,
    SubnetRow,
)

Finding = str
SUFFIX = "_allocations"
EVERY_TYPE_ALONE = ("local",)
"""Types whose segments may look the same, because each is for itself."""


def audit(session: Session) -> list[Finding]:
    """Everything that is wrong in a store, seen in one transaction. The type drivers must have been loaded, since
    their tables are looked at too."""
    return [finding for check in CHECKS for finding in check(session)]


def _references(session: Session) -> Iterator[Finding]:
    """Rows that belong to something which is gone."""
    for column, target in REFERENCES:
        wrong = session.scalars(select(column).where(column.is_not(None), column.not_in(select(target))).distinct())
        own, other = column.class_.__tablename__, target.class_.__tablename__
        for missing in wrong:
            yield f"{own}: {column.key} {missing} does not exist in {other}"


REFERENCES: tuple[tuple[Any, Any], ...] = (
    (SegmentRow.network_id, NetworkRow.id),
    (SubnetRow.network_id, NetworkRow.id),
    (SubnetRow.subnetpool_id, SubnetPoolRow.id),
    (SubnetRow.segment_id, SegmentRow.id),
    (PoolRow.subnet_id, SubnetRow.id),
    (PortRow.network_id, NetworkRow.id),
    (IpRow.port_id, PortRow.id),
    (IpRow.subnet_id, SubnetRow.id),
    (PairRow.port_id, PortRow.id),
    (BindingRow.port_id, PortRow.id),
    (BindingRow.node_id, NodeRow.id),
    (BindingRow.segment_id, SegmentRow.id),
    (InactiveBindingRow.port_id, PortRow.id),
)


def _networks(session: Session) -> Iterator[Finding]:
    bare = select(NetworkRow.id).where(NetworkRow.id.not_in(select(SegmentRow.network_id)))
    for network_id in session.scalars(bare):
        yield f"network {network_id} has no segment"


def _segments(session: Session) -> Iterator[Finding]:
    """No two segments are the same wire, and each holds just the id that its type driver gave it."""
    wires: dict[tuple[Any, ...], str] = {}
    by_type: dict[str, dict[str, tuple[str | None, int | None]]] = defaultdict(dict)
    columns = (SegmentRow.id, SegmentRow.network_type, SegmentRow.physical_network, SegmentRow.segmentation_id)
    for segment_id, kind, physical_network, number in session.execute(select(*columns)):
        by_type[kind][segment_id] = (physical_network, number)
        if kind in EVERY_TYPE_ALONE:
            continue
        wire = (kind, physical_network, number)
        if wire in wires:
            yield f"segments {wires[wire]} and {segment_id} are both {kind} {physical_network or ''} {number}"
        wires[wire] = segment_id
    for table in Base.metadata.tables.values():
        if table.name.endswith(SUFFIX) and "segment_id" in table.c:
            yield from _allocations(session, table, by_type.get(table.name.removesuffix(SUFFIX), {}))


def _allocations(
    session: Session, table: Table, segments: Mapping[str, tuple[str | None, int | None]]
) -> Iterator[Finding]:
    numbers = [column for column in table.primary_key if column.name != "physical_network"]
    left = dict(segments)
    for row in session.execute(select(table)).mappings():
        held = (row.get("physical_network"), row[numbers[0].name] if numbers else None)
        found = left.pop(row["segment_id"], None)
        if found is None:
            yield f"{table.name}: {held} is held by segment {row['segment_id']}, which does not exist or holds another"
        elif found != held:
            yield f"{table.name}: segment {row['segment_id']} is {found}, but holds {held}"
    for segment_id, wire in left.items():
        yield f"{table.name}: segment {segment_id} is {wire}, but holds nothing"


def _subnets(session: Session) -> Iterator[Finding]:
    seen: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for subnet_id, network_id, cidr in session.execute(select(SubnetRow.id, SubnetRow.network_id, SubnetRow.cidr)):
        network = ipaddress.ip_network(cidr)
        for other_id, other in seen[network_id]:
            if other.version == network.version and other.overlaps(network):
                yield f"subnets {other_id} ({other}) and {subnet_id} ({network}) of network {network_id} overlap"
        seen[network_id].append((subnet_id, network))


def _addresses(session: Session) -> Iterator[Finding]:
    cidrs = {row.id: (row.network_id, ipaddress.ip_network(row.cidr)) for row in session.scalars(_SUBNETS)}
    found = session.execute(select(PortRow.id, PortRow.network_id))
    ports: dict[str, str] = {port_id: network_id for port_id, network_id in found}  # noqa: C416 - a result has keys()
    columns = (IpRow.port_id, IpRow.subnet_id, IpRow.address, IpRow.network_id)
    for port_id, subnet_id, address, network_id in session.execute(select(*columns)):
        subnet_network, cidr = cidrs.get(subnet_id, (network_id, None))
        if cidr is not None and address not in cidr:
            yield f"port {port_id} has {address}, which is not in {cidr} of subnet {subnet_id}"
        if {subnet_network, ports.get(port_id, network_id)} != {network_id}:
            yield f"port {port_id} has {address} of subnet {subnet_id}, which is on another network"


_SUBNETS = select(SubnetRow).options(load_only(SubnetRow.network_id, SubnetRow.cidr))


def _bindings(session: Session) -> Iterator[Finding]:
    for port_id in session.scalars(select(PortRow.id).where(PortRow.id.not_in(select(BindingRow.port_id)))):
        yield f"port {port_id} has no binding row"
    parts = (BindingRow.node_id, BindingRow.segment_id, BindingRow.mechanism, BindingRow.port_key)
    bound = (
        select(BindingRow.port_id, *parts, PortRow.network_id, SegmentRow.network_id)
        .join(PortRow, PortRow.id == BindingRow.port_id)
        .outerjoin(SegmentRow, SegmentRow.id == BindingRow.segment_id)
    )
    for port_id, node, segment, mechanism, key, network, segments_network in session.execute(bound):
        present = [part is not None for part in (node, segment, mechanism, key)]
        if any(present) and not all(present):
            yield f"port {port_id} is bound by half: node {node}, segment {segment}, mechanism {mechanism}, key {key}"
        elif segment is not None and segments_network not in (None, network):
            yield f"port {port_id} is bound to segment {segment} of another network"


def _unique(session: Session) -> Iterator[Finding]:
    """What the database's own constraints say too; they may be missing in one that was restored by hand."""
    for columns in ((PortRow.network_id, PortRow.mac_address), (IpRow.subnet_id, IpRow.address),
                    (BindingRow.node_id, BindingRow.port_key), (NetworkRow.key,)):  # fmt: skip
        given = [column.is_not(None) for column in columns]
        twice = select(*columns).where(*given).group_by(*columns).having(func.count() > 1)
        for row in session.execute(twice):
            names = ", ".join(f"{column.key} {value}" for column, value in zip(columns, row, strict=True))
            yield f"{columns[0].class_.__tablename__}: {names} more than once"


def _sharing(session: Session) -> Iterator[Finding]:
    for kind, model in (("network", NetworkRow), ("subnetpool", SubnetPoolRow)):
        lost = select(RbacRow.id, RbacRow.object_id).where(
            RbacRow.object_type == kind, RbacRow.object_id.not_in(select(model.id))
        )
        for policy_id, object_id in session.execute(lost):
            yield f"RBAC policy {policy_id} shares {kind} {object_id}, which does not exist"


def _feed(session: Session) -> Iterator[Finding]:
    newest = session.scalar(select(func.max(FeedRow.revision))) or 0
    state = session.scalars(select(FeedState)).one_or_none()
    if state is None:
        yield "feed_state has no row"
        return
    if newest > state.revision:
        yield f"the change feed goes to revision {newest}, but says that {state.revision} is the newest"
    ahead = session.scalar(select(func.max(PortRow.intent_revision))) or 0
    if ahead > state.revision:
        yield f"a port says that it changed at revision {ahead}, after the newest, {state.revision}"


CHECKS: tuple[Callable[[Session], Iterator[Finding]], ...] = (
    _references,
    _networks,
    _segments,
    _subnets,
    _addresses,
    _bindings,
    _unique,
    _sharing,
    _feed,
)
