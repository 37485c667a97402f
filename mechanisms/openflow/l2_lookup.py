"""Table ``l2_lookup``: where a MAC address is. Location-free: the destination key does not depend on who asks."""

from __future__ import annotations

from controller.dataplane.builder import flow
from controller.dataplane.values import Flow
from controller.model import Network, Port
from mechanisms.openflow.pipeline import DELIVER, L2_LOOKUP
from mechanisms.openflow.registers import destination

PRIORITY = 100


def known_mac(port: Port, network: Network, node_key: int) -> Flow:
    """The fixed MAC of a live port, bound to the node with that key. MACs of address pairs move at will: flooded."""
    port_key = port.binding.port_key if port.binding else 0
    sentence = flow(L2_LOOKUP, PRIORITY).match(network=network.key, eth_dst=port.mac_address)
    return sentence.set(destination=destination(node_key, port_key)).because(f"port {port.id}").goto(DELIVER)
