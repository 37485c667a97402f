"""Table ``l2_lookup``: where a MAC address is. Location-free: the destination key does not depend on who asks."""

from __future__ import annotations

from controller.dataplane.builder import flow
from controller.dataplane.forms import form
from controller.dataplane.values import Flow
from controller.model import Network, Port
from mechanisms.openflow.pipeline import DELIVER, FLOOD, L2_LOOKUP
from mechanisms.openflow.registers import EVERYBODY, destination

PRIORITY, ROAMING, LEARNED, SEVERAL = 100, 90, 50, 40

MULTICAST = 1 << 40, 1 << 40
"""Value and mask of the bit of a MAC address that says: to several."""


def known_mac(port: Port, mac: int, network: int, node_key: int) -> Flow:
    """The fixed MAC (also given as a number) of a live port, on the network and bound to the node with these keys.
    MACs of address pairs move at will."""
    port_key = port.binding.port_key if port.binding else 0
    return _known(network, mac, destination(node_key, port_key), port.id)


@form
def _known(network: int, mac: int, key: int, port_id: str) -> Flow:
    sentence = flow(L2_LOOKUP, PRIORITY).match(network=network, eth_dst=mac).set(destination=key)
    return sentence.because(f"port {port_id}").goto(DELIVER)


def roaming(network: Network, mac: str) -> Flow:
    """A MAC that several ports may use: it is heard by all, as nobody knows who has it now."""
    sentence = flow(L2_LOOKUP, ROAMING).match(network=network.key, eth_dst=mac).set(destination=EVERYBODY)
    return sentence.because(f"network {network.id}: address of several ports").goto(FLOOD)


@form
def learned(network: int, mac: int, key: int, network_id: str) -> Flow:
    """A MAC that nobody manages, behind the place with that destination key, on the network with that key. Ports of
    ours come first."""
    sentence = flow(L2_LOOKUP, LEARNED).match(network=network, eth_dst=mac).set(destination=key)
    return sentence.because(f"network {network_id}: address learned").goto(DELIVER)


def several() -> Flow:
    """Broadcast and multicast, told from unknown addresses; where links are looked for."""
    sentence = flow(L2_LOOKUP, SEVERAL).match(eth_dst=MULTICAST).set(destination=EVERYBODY)
    return sentence.because("broadcast and multicast").goto(FLOOD)
