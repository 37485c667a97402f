"""Routed networks: every subnet belongs to one segment, so a port's place and its addresses go together.

The rules are those of Neutron's ``segments`` service: all subnets of a network are associated with segments, or none
is; a port without a place gets its addresses when it is bound (``ip_allocation`` deferred); one that has addresses can
go only where its segment is. Which segment a host is on is not asked beforehand: it is the one that the port is bound
to.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from neutron_lib import exceptions as faults
from neutron_lib.api.definitions import ip_allocation
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.db.models import NetworkRow, PortRow, SegmentRow, SubnetRow
from controller.model import Network
from controller.plugin import places
from controller.plugin.api import Body
from controller.plugin.faults import (
    FixedIpsSubnetsNotOnSameSegment,
    HostNotCompatibleWithFixedIps,
    HostNotConnectedToAnySegment,
    NetworkIdsDontMatch,
    NoUpdateSubnetWhenMultipleSegmentsOnNetwork,
    SegmentNotFound,
    SubnetSegmentAssociationChangeNotAllowed,
    SubnetsNotAllAssociatedWithSegments,
)
from controller.plugin.ipam import Ipam, resolve
from controller.plugin.places import AddressRange

LOG = logging.getLogger(__name__)

IMMEDIATE = ip_allocation.IP_ALLOCATION_IMMEDIATE
DEFERRED = ip_allocation.IP_ALLOCATION_DEFERRED
NONE = ip_allocation.IP_ALLOCATION_NONE

Segments = Collection[str]
"""The segments where a port may be; none means any."""


def is_routed(subnets: Iterable[AddressRange]) -> bool:
    """Whether subnets belong to segments."""
    return any(subnet.segment_id is not None for subnet in subnets)


def narrowed(network: Network, segments: Segments) -> Network:
    """The network with these segments only."""
    if not segments:
        return network
    return replace(network, segments=tuple(segment for segment in network.segments if segment.id in segments))


def segments_for(port: PortRow, subnets: Sequence[AddressRange], wanted: Sequence[Body] | None) -> Segments:
    """Where a new port may be that asks for these addresses; None leaves them to us. Raises 400."""
    if not is_routed(subnets) or (wanted is not None and not wanted):
        return ()
    if wanted is None:
        return _named(subnets)
    return _common(resolve(port, subnets, item)[0] for item in wanted)


def segments_of(session: Session, port: PortRow) -> Segments:
    """Where a port may be: where its addresses work; if it waits for some, where there are any."""
    subnets = places.of_port(session, port.network_id).subnets
    owned = {ip.subnet_id for ip in port.ips}
    if owned:
        return _named(subnet for subnet in subnets if subnet.id in owned)
    return _named(subnets) if port.ip_allocation == DEFERRED else ()


def settle(port: PortRow, subnets: Sequence[AddressRange], wanted: Sequence[Body] | None) -> Sequence[AddressRange]:
    """Decide when a new port, whose binding is decided, gets its addresses; the subnets they are from. Raises 409."""
    port.ip_allocation = NONE if wanted is not None and not wanted else IMMEDIATE
    if port.ip_allocation == NONE or not is_routed(subnets):
        return subnets
    binding = port.binding
    if binding.node_id is None and (binding.host or binding.switch_node_id):
        raise _no_place(port, with_addresses=wanted is not None)
    if wanted is not None:
        return subnets
    if binding.node_id is None:
        port.ip_allocation = DEFERRED
    return [subnet for subnet in subnets if subnet.segment_id == binding.segment_id]


def check_addresses(port: PortRow, subnets: Sequence[AddressRange], wanted: Sequence[Body], moves: bool) -> None:
    """Whether new addresses of a port work together, and where it is unless it moves. Raises 400 and 409."""
    if not is_routed(subnets):
        return
    segments, here = _common(resolve(port, subnets, item)[0] for item in wanted), port.binding.segment_id
    if segments and here is not None and here not in segments and not moves:
        raise HostNotCompatibleWithFixedIps(host=port.binding.host, port_id=port.id)


def give_deferred(session: Session, port: PortRow) -> None:
    """Give a port the addresses that it waited for, if it is bound now; it goes on waiting while there are none."""
    segment_id = port.binding.segment_id
    if segment_id is None or port.ips:
        return
    subnets = places.of_port(session, port.network_id).subnets
    try:
        Ipam().give_automatic(session, port, [subnet for subnet in subnets if subnet.segment_id == segment_id])
    except faults.IpAddressGenerationFailure:
        LOG.warning("port %s does not get all its addresses: segment %s has none left", port.id, segment_id)


def require_place(session: Session, port: PortRow) -> None:
    """Raise 409 for a port of a routed network whose host cannot have it, or has no address for it."""
    binding = port.binding
    asked = bool(binding.host or binding.switch_node_id)
    waits = port.ip_allocation == DEFERRED and not port.ips
    if not asked or (binding.node_id is not None and not waits) or port.ip_allocation == NONE:
        return
    if not is_routed(places.of_port(session, port.network_id).subnets):
        return
    if binding.node_id is not None:
        raise faults.IpAddressGenerationFailure(net_id=port.network_id)
    raise _no_place(port, with_addresses=bool(port.ips))


def _no_place(port: PortRow, with_addresses: bool) -> faults.Conflict:
    host = port.binding.host or port.binding.switch_node_id
    if with_addresses:
        return HostNotCompatibleWithFixedIps(host=host, port_id=port.id)
    return HostNotConnectedToAnySegment(host=host, network_id=port.network_id, reason=port.binding.refusal)


def _named(subnets: Iterable[AddressRange]) -> frozenset[str]:
    return frozenset(subnet.segment_id for subnet in subnets if subnet.segment_id is not None)


def _common(subnets: Iterable[AddressRange]) -> frozenset[str]:
    """The one segment of subnets, if they have one. Raises FixedIpsSubnetsNotOnSameSegment."""
    found = _named(subnets)
    if len(found) > 1:
        raise FixedIpsSubnetsNotOnSameSegment()
    return found


def check_new(session: Session, network: NetworkRow, others: set[str | None], segment_id: str | None) -> None:
    """Whether a further subnet may be on that segment, or on none, when the ``others`` are on theirs. Raises 400 and
    SegmentNotFound."""
    _check_segment(session, network, segment_id)
    if None in others | {segment_id} and len(others | {segment_id}) > 1:
        raise SubnetsNotAllAssociatedWithSegments(network_id=network.id)


def check_change(session: Session, network: NetworkRow, subnet: SubnetRow, segment_id: str | None) -> None:
    """Whether a subnet may go over to that segment: only the one subnet of a network with one segment may, from none.
    Raises 400 and SegmentNotFound."""
    if segment_id == subnet.segment_id:
        return
    if subnet.segment_id is not None:
        raise SubnetSegmentAssociationChangeNotAllowed()
    _check_segment(session, network, segment_id)
    others = select(SubnetRow.id).where(SubnetRow.network_id == network.id, SubnetRow.id != subnet.id)
    if session.scalar(others.limit(1)):
        raise SubnetsNotAllAssociatedWithSegments(network_id=network.id)
    if len(network.segments) > 1:
        raise NoUpdateSubnetWhenMultipleSegmentsOnNetwork(network_id=network.id)


def _check_segment(session: Session, network: NetworkRow, segment_id: str | None) -> None:
    if segment_id is None:
        return
    segment = session.get(SegmentRow, segment_id)
    if segment is None:
        raise SegmentNotFound(segment_id=segment_id)
    if segment.network_id != network.id:
        raise NetworkIdsDontMatch(subnet_network=network.id, segment_id=segment_id)
