"""The audit's look at subnets and addresses: ranges, pools, who has what, and that routed networks are consistent."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.db.models import BindingRow, IpRow, PoolRow, PortRow, SegmentRow, SubnetRow

Finding = str
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def subnets(session: Session) -> Iterator[Finding]:
    """Subnets of a network do not overlap, and belong to its segments, all or none."""
    seen: dict[str, list[tuple[str, IpNetwork]]] = defaultdict(list)
    for subnet_id, network_id, cidr in session.execute(select(SubnetRow.id, SubnetRow.network_id, SubnetRow.cidr)):
        network = ipaddress.ip_network(cidr)
        for other_id, other in seen[network_id]:
            if other.version == network.version and other.overlaps(network):
                yield f"subnets {other_id} ({other}) and {subnet_id} ({network}) of network {network_id} overlap"
        seen[network_id].append((subnet_id, network))
    mixed = select(SubnetRow.network_id).group_by(SubnetRow.network_id)
    associated = func.count(SubnetRow.segment_id)
    for network_id in session.scalars(mixed.having(associated > 0, associated < func.count())):
        yield f"network {network_id} has subnets with a segment and subnets without one"
    of_another = (
        select(SubnetRow.id, SubnetRow.segment_id)
        .join(SegmentRow, SegmentRow.id == SubnetRow.segment_id)
        .where(SegmentRow.network_id != SubnetRow.network_id)
    )
    for subnet_id, segment_id in session.execute(of_another):
        yield f"subnet {subnet_id} belongs to segment {segment_id} of another network"


def pools(session: Session) -> Iterator[Finding]:
    """Allocation pools lie in their subnet and apart from each other."""
    last: dict[str, Any] = {}
    statement = select(PoolRow.subnet_id, PoolRow.first, PoolRow.last, SubnetRow.cidr)
    joined = statement.join(SubnetRow, SubnetRow.id == PoolRow.subnet_id)
    for subnet_id, first, end, cidr in session.execute(joined.order_by(PoolRow.subnet_id, PoolRow.first)):
        network = ipaddress.ip_network(cidr)
        if first not in network or end not in network or first.packed > end.packed:
            yield f"allocation pool {first} to {end} of subnet {subnet_id} is no range in {cidr}"
        elif subnet_id in last and first <= last[subnet_id]:
            yield f"allocation pools of subnet {subnet_id} overlap at {first}"
        else:
            last[subnet_id] = end


def addresses(session: Session) -> Iterator[Finding]:
    """Ports have addresses of their own network's subnets, which lie there."""
    found = session.execute(select(SubnetRow.id, SubnetRow.network_id, SubnetRow.cidr))
    ranges = {subnet_id: (network_id, ipaddress.ip_network(cidr)) for subnet_id, network_id, cidr in found}
    ports = {row.id: row.network_id for row in session.execute(select(PortRow.id, PortRow.network_id))}
    columns = (IpRow.port_id, IpRow.subnet_id, IpRow.address, IpRow.network_id, IpRow.text)
    for port_id, subnet_id, address, network_id, text in session.execute(select(*columns)):
        subnet_network, cidr = ranges.get(subnet_id, (network_id, None))
        if cidr is not None and address not in cidr:
            yield f"port {port_id} has {address}, which is not in {cidr} of subnet {subnet_id}"
        if {subnet_network, ports.get(port_id, network_id)} != {network_id}:
            yield f"port {port_id} has {address} of subnet {subnet_id}, which is on another network"
        if text != str(address):
            yield f"port {port_id} has {address}, and is shown with '{text}'"


def routed(session: Session) -> Iterator[Finding]:
    """A bound port is on the segment that its addresses belong to."""
    elsewhere = (
        select(IpRow.port_id, IpRow.address, SubnetRow.segment_id, BindingRow.segment_id)
        .join(SubnetRow, SubnetRow.id == IpRow.subnet_id)
        .join(BindingRow, BindingRow.port_id == IpRow.port_id)
        .where(SubnetRow.segment_id.is_not(None), BindingRow.segment_id != SubnetRow.segment_id)
    )
    for port_id, address, wanted, found in session.execute(elsewhere):
        yield f"port {port_id} has {address}, which works on segment {wanted}, but is bound to segment {found}"
