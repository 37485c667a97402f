"""Table ``hop``: frames that go over links between switches, tagged as they travel there, to the next hop's group."""

from __future__ import annotations

from controller.dataplane.builder import FlowBuilder, flow
from controller.dataplane.fields import ANY_VLAN, NO_VLAN
from controller.dataplane.values import Flow
from controller.model import Network, Node, Segment
from mechanisms.openflow import groups
from mechanisms.openflow.pipeline import HOP
from mechanisms.openflow.registers import Source

KNOWN, OUTSIDE = 200, 100


def to_switch(node: Node) -> Flow:
    """A destination on another switch of the fabric; serves all networks."""
    sentence = flow(HOP, KNOWN).match(node_key=node.key).because(f"node {node.id}")
    return sentence.group(groups.link_hop_id(node.key)).done()


def to_exit(network: Network, segment: Segment, group_id: int) -> Flow:
    """A destination outside of the fabric: towards the only wild exit. There tags are those of links."""
    sentence = flow(HOP, OUTSIDE).match(network=network.key)
    return sentence.because(f"network {network.id}: {segment}").group(group_id).done()


def to_any(network: Network, segment: Segment, source: Source, group_id: int) -> Flow:
    """A destination outside of the fabric, which has several wild exits: it may be behind any."""
    sentence = flow(HOP, OUTSIDE).match(network=network.key, source=source).because(f"network {network.id}: {segment}")
    return _untag(sentence, segment).group(group_id).done()


def _untag(sentence: FlowBuilder, segment: Segment) -> FlowBuilder:
    if segment.network_type == "vlan":
        return sentence.match(vlan_vid=ANY_VLAN).pop_vlan()
    return sentence.match(vlan_vid=NO_VLAN)
