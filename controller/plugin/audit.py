"""Does the store agree with itself? What the plugin's transactions promise, looked at from outside.

Nothing is changed. Every finding is a sentence that names the objects; an empty list is what a sound store gives,
whatever clients and databases did to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

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
from controller.plugin.audit_addresses import addresses, pools, routed, subnets
from controller.plugin.audit_bindings import bindings
from controller.plugin.sharing import ACTIONS, AS_EXTERNAL, AS_SHARED, EVERYBODY

Finding = str
Check = Callable[[Session], Iterator[Finding]]
SUFFIX = "_allocations"
EVERY_TYPE_ALONE = ("local",)
"""Types whose segments may look the same, because each is for itself."""


def audit(session: Session) -> list[Finding]:
    """Everything that is wrong in a store, seen in one transaction. The type drivers must have been loaded, since
    their tables are looked at too."""
    return [finding for check in CHECKS for finding in _findings(check, session)]


def _findings(check: Check, session: Session) -> Iterator[Finding]:
    """What a check finds; a value that is no value at all ends this check and no other."""
    try:
        yield from check(session)
    except (ValueError, TypeError, LookupError) as error:
        yield f"{check.__name__.strip('_')}: not looked at to the end, because a value cannot be read: {error}"


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


def _unique(session: Session) -> Iterator[Finding]:
    """What the database's own constraints say too; they may be missing in one that was restored by hand."""
    for columns in UNIQUE:
        given = [column.is_not(None) for column in columns]
        twice = select(*columns).where(*given).group_by(*columns).having(func.count() > 1)
        for row in session.execute(twice):
            names = ", ".join(f"{column.key} {value}" for column, value in zip(columns, row, strict=True))
            yield f"{columns[0].class_.__tablename__}: {names} more than once"


UNIQUE: tuple[tuple[Any, ...], ...] = (
    (PortRow.network_id, PortRow.mac_address),
    (IpRow.subnet_id, IpRow.address),
    (BindingRow.node_id, BindingRow.port_key),
    (NetworkRow.key,),
    (SegmentRow.network_id, SegmentRow.position),
    (NodeRow.key,),
    (NodeRow.agent_id,),
    (RbacRow.object_id, RbacRow.target_project, RbacRow.action),
)


def _sharing(session: Session) -> Iterator[Finding]:
    """Policies are about something that can be shared."""
    for kind, model in SHAREABLE:
        lost = select(RbacRow.id, RbacRow.object_id).where(
            RbacRow.object_type == kind, RbacRow.object_id.not_in(select(model.id))
        )
        for policy_id, object_id in session.execute(lost):
            yield f"RBAC policy {policy_id} shares {kind} {object_id}, which does not exist"
    for policy_id, kind in session.execute(select(RbacRow.id, RbacRow.object_type)):
        if kind not in ACTIONS:
            yield f"RBAC policy {policy_id} is about a {kind}, which cannot be shared"


SHAREABLE: tuple[tuple[str, Any], ...] = (("network", NetworkRow), ("subnetpool", SubnetPoolRow))


def _repeated(session: Session) -> Iterator[Finding]:
    """What can be shared repeats what its policies say."""
    columns = (RbacRow.object_id, RbacRow.target_project, RbacRow.action)
    policies = {tuple(policy) for policy in session.execute(select(*columns))}
    external = {object_id for object_id, _, action in policies if action == AS_EXTERNAL}
    said = [(kind, row.id, "shared", row.shared, (row.id, EVERYBODY, AS_SHARED) in policies)
            for kind, model in SHAREABLE for row in session.execute(select(model.id, model.shared))]  # fmt: skip
    said += [("network", row.id, "external", row.external, row.id in external)
             for row in session.execute(select(NetworkRow.id, NetworkRow.external))]  # fmt: skip
    for kind, object_id, word, own, policys in said:
        if own != policys:
            yield f"{kind} {object_id} says that it is {'' if own else 'not '}{word}; its policies say otherwise"


def _feed(session: Session) -> Iterator[Finding]:
    newest = session.scalar(select(func.max(FeedRow.revision))) or 0
    state = session.scalars(select(FeedState)).one_or_none()
    if state is None:
        yield "feed_state has no row"
        return
    if newest > state.revision:
        yield f"the change feed goes to revision {newest}, but says that {state.revision} is the newest"
    kept = session.scalar(select(func.count(FeedRow.revision.distinct())).where(FeedRow.revision > state.pruned)) or 0
    if kept < newest - state.pruned or newest < state.revision:
        yield f"of the revisions {state.pruned + 1} to {state.revision} the change feed has only {kept}"
    ahead = session.scalar(select(func.max(PortRow.intent_revision))) or 0
    if ahead > state.revision:
        yield f"a port says that it changed at revision {ahead}, after the newest, {state.revision}"


CHECKS: tuple[Check, ...] = (
    _references,
    _networks,
    _segments,
    subnets,
    pools,
    addresses,
    routed,
    bindings,
    _unique,
    _sharing,
    _repeated,
    _feed,
)
