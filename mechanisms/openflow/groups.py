"""Groups and their ids. Ids are made of stable keys, so that the same intent has the same ids whatever came before.

The top four of 32 bits say what a group is for; ids from 0xffffff00 on are OpenFlow's own and cannot be reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from controller.dataplane.values import Action, Bucket, Group, GroupType, Output, SetField
from mechanisms.openflow.endpoints import Endpoint
from mechanisms.openflow.registers import Source, Transport

_FLOOD, _NEXT_HOP, _UPLINK, _LINK, _EXIT = 1 << 28, 2 << 28, 3 << 28, 4 << 28, 5 << 28
_NUMBERS = (1 << 28) - 1


def flood_id(network_key: int, source: Source) -> int:
    """The group of a network for packets of that source class."""
    return _FLOOD | network_key << 3 | source


def unknown_id(network_key: int) -> int:
    """The group of a network for addresses that nobody knows."""
    return _FLOOD | network_key << 3 | 7


def next_hop_id(transport: Transport, node_key: int) -> int:
    """The group towards another node's tunnel endpoint."""
    return _NEXT_HOP | transport << 16 | node_key


def uplink_ids(physical_networks: Iterable[str]) -> dict[str, int]:
    """Physical network -> group id. Hashes of the names; should two be equal, the later name moves on by one."""
    ids: dict[str, int] = {}
    for name in sorted(physical_networks):
        number = int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big") & _NUMBERS
        while _UPLINK | number in ids.values():
            number = (number + 1) & _NUMBERS
        ids[name] = _UPLINK | number
    return ids


def link_hop_id(node_key: int) -> int:
    """The group towards another switch by links."""
    return _LINK | node_key


def exit_id(uplink_id: int) -> int:
    """The group towards the switch with the uplink into a physical network, from the id that its uplink would have."""
    return _EXIT | uplink_id & _NUMBERS


def owns(group_id: int) -> bool:
    """Whether the id is one of ours; groups have no owner tag."""
    return _FLOOD <= group_id <= _EXIT | _NUMBERS


def all_of(group_id: int, buckets: Iterable[tuple[Action, ...]], why: str) -> Group:
    """A copy to every bucket."""
    return Group(group_id, GroupType.ALL, tuple(map(Bucket, buckets)), why)


def tunnel_next_hop(group_id: int, tunnel_port: int, endpoint: Endpoint, why: str) -> Group:
    """To another node's endpoint."""
    return Group(group_id, GroupType.INDIRECT, (Bucket(to_endpoint(tunnel_port, endpoint)),), why)


def uplink_next_hop(group_id: int, ofport: int, why: str) -> Group:
    """Out of an uplink."""
    return Group(group_id, GroupType.INDIRECT, (Bucket((Output(ofport),)),), why)


def by_ports(group_id: int, ofports: Sequence[int], why: str) -> Group:
    """Out of the first of these ports that is up; the switch itself changes over when one goes down."""
    if len(ofports) == 1:
        return Group(group_id, GroupType.INDIRECT, (Bucket((Output(ofports[0]),)),), why)
    buckets = tuple(Bucket((Output(ofport),), watch_port=ofport) for ofport in ofports)
    return Group(group_id, GroupType.FAST_FAILOVER, buckets, why)


def to_endpoint(tunnel_port: int, endpoint: Endpoint) -> tuple[Action, ...]:
    """The actions that send the packet, whose tunnel id is set, to an endpoint."""
    return (SetField(endpoint.field, endpoint.value), Output(tunnel_port))
