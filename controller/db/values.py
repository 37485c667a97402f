"""Rows become values of :mod:`controller.model`: one row at a time for bindings, in bulk for the change feed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from sys import intern
from typing import Any

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from controller.db.models import (
    PLAN,
    BindingRow,
    CablePlanRow,
    IpRow,
    NetworkRow,
    NodeRow,
    PairRow,
    PortRow,
    SegmentRow,
    SwitchRow,
)
from controller.model import (
    AddressPair,
    Binding,
    Cable,
    DeclaredSwitch,
    Network,
    Node,
    NodeFacts,
    NodeKind,
    Plug,
    Port,
    Segment,
)

TOLD = frozenset(field.name for field in fields(NodeFacts)) - {"id", "kind", "host"}
"""What nodes tell that is kept as JSON."""

CHUNK = 500
"""Ids per query: well below the databases' limits on parameters."""


def segment_value(row: SegmentRow) -> Segment:
    """The segment of a row."""
    return Segment(intern(row.id), row.network_type, row.physical_network, row.segmentation_id)


def network_value(row: NetworkRow, arp_responder: bool = True) -> Network:
    """The network of a row with its segments."""
    segments = tuple(map(segment_value, row.segments))
    return Network(intern(row.id), row.key, segments, row.mtu, row.admin_state_up, arp_responder, row.name)


def node_value(row: NodeRow) -> Node:
    """The node of a row, without what only a later version understands: both run while processes are upgraded."""
    facts: dict[str, Any] = {name: value for name, value in row.facts.items() if name in TOLD}
    for name in ("tunnel_types", "capabilities"):
        facts[name] = frozenset(facts[name])
    facts["mechanisms"] = tuple(facts["mechanisms"])
    facts["link_tags"] = {name: (first, last) for name, (first, last) in facts.get("link_tags", {}).items()}
    facts["served"] = {name: tuple(types) for name, types in facts.get("served", {}).items()}
    kind = NodeKind(row.kind)
    return Node(id=intern(row.id), key=row.key, kind=kind, host=row.host, admin_state_up=row.admin_state_up, **facts)


def facts_json(facts: NodeFacts) -> dict[str, Any]:
    """The part of a node's facts that is kept as JSON."""
    content = {name: value for name, value in asdict(facts).items() if name in TOLD}
    for name in ("tunnel_types", "capabilities"):
        content[name] = sorted(content[name])
    content["mechanisms"] = list(content["mechanisms"])
    content["link_tags"] = {name: list(tags) for name, tags in facts.link_tags.items()}
    content["served"] = {name: list(types) for name, types in facts.served.items()}
    return content


def local_links(profile: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """``local_link_information`` of a binding profile as (switch id, port id) pairs."""
    links = profile.get("local_link_information") or ()
    return tuple((str(link.get("switch_id", "")), str(link.get("port_id", ""))) for link in links)


def port_value(row: PortRow) -> Port:
    """The port of a row with its addresses and binding."""
    ips = tuple(str(ip.address) for ip in row.ips)
    pairs = tuple(AddressPair(pair.ip_address, pair.mac_address) for pair in row.pairs)
    return _port(row, row.binding, ips, pairs)


def _port(row: Any, bound: Any, ips: tuple[str, ...], pairs: tuple[AddressPair, ...]) -> Port:
    return Port(
        id=row.id,
        network_id=intern(row.network_id),  # one object for all that name it: less memory, and found sooner
        mac_address=row.mac_address,
        fixed_ips=ips,
        admin_state_up=row.admin_state_up,
        port_security_enabled=row.port_security_enabled,
        allowed_address_pairs=pairs,
        device_owner=row.device_owner,
        host=bound.host,
        binding=_binding(bound),
        binding_refusal=bound.refusal,
        local_links=local_links(bound.profile),
        revision=row.intent_revision,
    )


def _binding(row: Any) -> Binding | None:
    if row.node_id is None:
        return None
    node_id, segment_id = intern(row.node_id), row.segment_id and intern(row.segment_id)
    return Binding(node_id, segment_id, row.mechanism, row.port_key, row.vif_type, row.vif_details)


Column = InstrumentedAttribute[str]


def _chosen(column: Column, ids: Sequence[str] | None) -> Iterator[list[ColumnElement[bool]]]:
    """The conditions of one query after another: everything at once, or the given ids in chunks."""
    if ids is None:
        yield []
        return
    for start in range(0, len(ids), CHUNK):
        yield [column.in_(ids[start : start + CHUNK])]


def networks(session: Session, ids: Sequence[str] | None = None, arp_responder: bool = True) -> Iterable[Network]:
    """These networks, or all."""
    for condition in _chosen(NetworkRow.id, ids):
        for row in session.scalars(select(NetworkRow).where(*condition)):
            yield network_value(row, arp_responder)


def nodes(session: Session, ids: Sequence[str] | None = None) -> Iterable[Node]:
    """These nodes, or all."""
    for condition in _chosen(NodeRow.id, ids):
        yield from map(node_value, session.scalars(select(NodeRow).where(*condition)))


def switch_value(row: SwitchRow) -> DeclaredSwitch:
    """What is said of a switch."""
    uplinks = {name: tuple(ports) for name, ports in row.uplinks.items()}
    return DeclaredSwitch(row.id, row.name, uplinks, row.tunnel_ip, dict(row.tunnel_ports))


def switches(session: Session, ids: Sequence[str] | None = None) -> Iterable[DeclaredSwitch]:
    """What is said of these switches, or of all."""
    for condition in _chosen(SwitchRow.id, ids):
        yield from map(switch_value, session.scalars(select(SwitchRow).where(*condition)))


def cables(session: Session) -> tuple[Cable, ...]:
    """The stored cable plan; nothing without one."""
    row = session.get(CablePlanRow, PLAN)
    return () if row is None else tuple(Cable(Plug(*a), Plug(*b)) for a, b in row.cables)


PORT_COLUMNS = (
    PortRow.id, PortRow.network_id, PortRow.mac_address, PortRow.admin_state_up, PortRow.port_security_enabled,
    PortRow.device_owner, PortRow.intent_revision, BindingRow.host, BindingRow.profile, BindingRow.refusal,
    BindingRow.node_id, BindingRow.segment_id, BindingRow.mechanism, BindingRow.port_key, BindingRow.vif_type,
    BindingRow.vif_details,
)  # fmt: skip


def ports(session: Session, ids: Sequence[str] | None = None) -> Iterable[Port]:
    """These ports, or all: columns instead of objects, for a controller that loads a hundred thousand."""
    for condition in _chosen(PortRow.id, ids):
        rows: Sequence[Row[Any]] = session.execute(
            select(*PORT_COLUMNS).join(BindingRow, BindingRow.port_id == PortRow.id).where(*condition)
        ).all()
        part = None if ids is None else [row.id for row in rows]
        ips, pairs = _ips(session, part), _pairs(session, part)
        for row in rows:
            yield _port(row, row, tuple(ips.get(row.id, ())), tuple(pairs.get(row.id, ())))


def _ips(session: Session, ids: Sequence[str] | None) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for condition in _chosen(IpRow.port_id, ids):
        statement = select(IpRow.port_id, IpRow.address).where(*condition).order_by(IpRow.port_id, IpRow.position)
        for port_id, address in session.execute(statement):
            found[port_id].append(str(address))
    return found


def _pairs(session: Session, ids: Sequence[str] | None) -> Mapping[str, list[AddressPair]]:
    found: dict[str, list[AddressPair]] = defaultdict(list)
    for condition in _chosen(PairRow.port_id, ids):
        statement = select(PairRow.port_id, PairRow.ip_address, PairRow.mac_address).where(*condition)
        for port_id, ip_address, mac_address in session.execute(statement.order_by(PairRow.port_id, PairRow.position)):
            found[port_id].append(AddressPair(ip_address, mac_address))
    return found
