"""Table ``classify``: which network a packet belongs to, decided by where and how it came in."""

from __future__ import annotations

from collections.abc import Callable

from controller.dataplane.builder import FlowBuilder, flow
from controller.dataplane.fields import NO_VLAN, VLAN_PRESENT
from controller.dataplane.forms import form
from controller.dataplane.tables import BoundTable
from controller.dataplane.values import Flow
from controller.model import TUNNEL_TYPES, Network, Port, Segment
from mechanisms.openflow.pipeline import CLASSIFY, L2_LOOKUP, LEARN, PORT_SECURITY
from mechanisms.openflow.registers import Source, Transport

PRIORITY = 100


def local_port(port: Port, ofport: int, network: Network, segment: Segment) -> Flow:
    """Untagged frames of a bound port. Tagged ones miss and are dropped: a port cannot hop into a VLAN.

    For tunnels the key is set here already, so that one flow per peer is enough in ``deliver``.
    """
    said = _LOCAL_PORT[port.port_security_enabled, segment.network_type in TUNNEL_TYPES]
    transport, client = int(Transport.of(segment.network_type)), int(not port.may_serve_dhcp)
    return said(network.key, transport, ofport, client, segment.segmentation_id or 0, port.id)


def _local_port(secured: bool, tunnelled: bool) -> Callable[[int, int, int, int, int, str], Flow]:
    @form
    def sentence(network: int, transport: int, ofport: int, client: int, tunnel_id: int, port_id: str) -> Flow:
        said = flow(CLASSIFY, PRIORITY).set(network=network, source=Source.LOCAL, transport=transport)
        said.match(in_port=ofport, vlan_vid=NO_VLAN)
        if secured:
            said.set(secured=1, client=client)
        if tunnelled:
            said.set(tunnel_id=tunnel_id)
        return said.because(f"port {port_id}").goto(PORT_SECURITY)

    return sentence


_LOCAL_PORT = {(secured, tunnelled): _local_port(secured, tunnelled)
               for secured in (False, True) for tunnelled in (False, True)}  # fmt: skip


def uplink(ofport: int, network: Network, segment: Segment, learns: bool = False) -> Flow:
    """What the physical network carries for this network: untagged for flat, with its tag for VLAN."""
    return _tagged(_into(network, segment, Source.UPLINK), ofport, network, segment, LEARN if learns else L2_LOOKUP)


def link(ofport: int, network: Network, segment: Segment, on_tree: bool) -> Flow:
    """What a link brings for this network; broadcast is heard from the links of the tree only."""
    source = Source.LINK if on_tree else Source.BYPASS
    return _tagged(_into(network, segment, source), ofport, network, segment)


def _tagged(
    sentence: FlowBuilder, ofport: int, network: Network, segment: Segment, then: BoundTable = L2_LOOKUP
) -> Flow:
    sentence.because(f"network {network.id}: {segment}")
    if segment.network_type == "flat":
        return sentence.match(in_port=ofport, vlan_vid=NO_VLAN).goto(then)
    vid = VLAN_PRESENT | (segment.segmentation_id or 0)
    return sentence.match(in_port=ofport, vlan_vid=vid).pop_vlan().goto(then)


def tunnel(ofport: int, network: Network, segment: Segment) -> Flow:
    """What comes out of the tunnels with this network's key, untagged as we send it; one port serves all peers."""
    transport, tunnel_id = int(Transport.of(segment.network_type)), segment.segmentation_id or 0
    return _tunnel(network.key, transport, ofport, tunnel_id, network.id, segment)


@form
def _tunnel(network: int, transport: int, ofport: int, tunnel_id: int, network_id: str, segment: Segment) -> Flow:
    sentence = flow(CLASSIFY, PRIORITY).set(network=network, source=Source.TUNNEL, transport=transport)
    sentence.match(in_port=ofport, tunnel_id=tunnel_id, vlan_vid=NO_VLAN)
    return sentence.because(f"network {network_id}: {segment}").goto(L2_LOOKUP)


def _into(network: Network, segment: Segment, source: Source) -> FlowBuilder:
    transport = Transport.of(segment.network_type)
    return flow(CLASSIFY, PRIORITY).set(network=network.key, source=source, transport=transport)
