"""Table ``deliver``: the last step, from destination key to wire.

Only what came from a local port, or from one behind links, may leave by an uplink or a tunnel: never uplink to uplink,
never tunnel to tunnel.
"""

from __future__ import annotations

from controller.dataplane.builder import flow
from controller.dataplane.forms import form
from controller.dataplane.values import Flow
from controller.model import Network, Node, Port, Segment
from mechanisms.openflow import groups
from mechanisms.openflow.pipeline import DELIVER, HOP
from mechanisms.openflow.registers import Source, Transport, destination, place

HERE, NOT_HERE, AWAY, PHYSICAL = 400, 300, 200, 100


def to_port(port: Port, ofport: int, node: Node) -> Flow:
    """A destination on this switch."""
    port_key = port.binding.port_key if port.binding else 0
    return _to_port(destination(node.key, port_key), ofport, port.id)


@form
def _to_port(key: int, ofport: int, port_id: str) -> Flow:
    return flow(DELIVER, HERE).match(destination=key).because(f"port {port_id}").output(ofport).done()


def absent(node: Node) -> Flow:
    """A destination on this switch that is not plugged in: it must not go out by the uplink."""
    return flow(DELIVER, NOT_HERE).match(node_key=node.key).because("ports of this node that are not plugged").drop()


def to_peer(peer: Node, transport: Transport) -> Flow:
    """A destination on another node, by tunnel; serves all networks, as ``classify`` has set the tunnel id."""
    sentence = flow(DELIVER, AWAY).match(source=Source.LOCAL, transport=transport, node_key=peer.key)
    return sentence.because(f"node {peer.id}").group(groups.next_hop_id(transport, peer.key)).done()


def to_links(network: Network, segment: Segment) -> Flow:
    """A destination elsewhere, where links carry the network; table ``hop`` knows the way."""
    sentence = flow(DELIVER, PHYSICAL).match(network=network.key).because(f"network {network.id}: {segment}")
    if segment.network_type == "vlan":
        sentence.push_vlan(segment.segmentation_id)
    return sentence.goto(HOP)


def to_place(network: Network, segment: Segment | None, node_key: int, ofport: int) -> Flow:
    """Addresses learned at a port of this switch: one that leads out, with the tag of ``segment``, or a tenant's."""
    sentence = flow(DELIVER, HERE).match(network=network.key, destination=place(node_key, ofport))
    sentence.because(f"network {network.id}: addresses learned at port {ofport}")
    if segment is not None and segment.network_type == "vlan":
        sentence.push_vlan(segment.segmentation_id)
    return sentence.output(ofport).done()


def to_uplink(network: Network, segment: Segment, group_id: int) -> Flow:
    """A destination elsewhere on the physical network."""
    sentence = flow(DELIVER, PHYSICAL).match(network=network.key, source=Source.LOCAL)
    sentence.because(f"network {network.id}: {segment}")
    if segment.network_type == "vlan":
        sentence.push_vlan(segment.segmentation_id)
    return sentence.group(group_id).done()
