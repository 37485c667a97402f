"""Table ``flood``: one group per network and source class, one bucket per port, uplink or peer; groups never chain.

The switch itself never sends a packet back out of its ingress port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.dataplane.builder import flow
from controller.dataplane.fields import VLAN_PRESENT
from controller.dataplane.forms import form
from controller.dataplane.values import Action, Flow, Group, Output, PushVlan, SetField
from controller.model import Network, Segment
from mechanisms.openflow import groups
from mechanisms.openflow.pipeline import FLOOD
from mechanisms.openflow.registers import EVERYBODY, Source

PRIORITY, UNKNOWN = 100, 50

Buckets = Iterable[tuple[Action, ...]]


def to_ports(ofports: Iterable[int]) -> Iterator[tuple[Action, ...]]:
    """Buckets to local ports."""
    return ((Output(ofport),) for ofport in sorted(ofports))


def to_uplink(ofport: int, segment: Segment) -> tuple[Action, ...]:
    """The bucket to the physical network, with the network's tag if it has one."""
    if segment.network_type != "vlan":
        return (Output(ofport),)
    tag = SetField("vlan_vid", VLAN_PRESENT | (segment.segmentation_id or 0))
    return (PushVlan(), tag, Output(ofport))


def group(network: Network, source: Source, buckets: Buckets) -> Group:
    """Everything that hears a broadcast of that source class."""
    return groups.all_of(groups.flood_id(network.key, source), buckets, f"network {network.id}: broadcast")


def to_group(network: Network, source: Source) -> Flow:
    """The flow that uses :func:`group`."""
    return _to_group(network.key, source, network.id)


@form
def _to_group(network: int, source: Source, network_id: str) -> Flow:
    sentence = flow(FLOOD, PRIORITY).match(network=network, source=source).because(f"network {network_id}")
    return sentence.group(groups.flood_id(network, source)).done()


def to_everybody(network: Network, source: Source) -> Flow:
    """Broadcast and multicast where unknown addresses go elsewhere: to the group for local ports."""
    sentence = flow(FLOOD, PRIORITY).match(network=network.key, source=source, destination=EVERYBODY)
    return sentence.because(f"network {network.id}").group(groups.flood_id(network.key, Source.LOCAL)).done()


def unknown(network: Network, source: Source, group_id: int) -> Flow:
    """Addresses that nobody knows."""
    sentence = flow(FLOOD, UNKNOWN).match(network=network.key, source=source)
    return sentence.because(f"network {network.id}: unknown addresses").group(group_id).done()
