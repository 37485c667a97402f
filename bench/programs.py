"""Programs of any size: a synthetic intent of VXLAN and GRE networks, compiled for one switch of many peers."""

from __future__ import annotations

from controller.dataplane.values import Program
from controller.intent import Change, Intent
from controller.model import (
    TUNNEL_TYPES,
    Attachment,
    Binding,
    Network,
    Node,
    NodeKind,
    Observation,
    Port,
    Segment,
    switch_node_id,
)
from mechanisms.openflow.driver import OpenFlowMechanismDriver

NODES = 5
PORTS_PER_NETWORK = 50


def node(number: int) -> Node:
    """A switch with a tunnel address."""
    return Node(
        id=switch_node_id(number), key=number, kind=NodeKind.SWITCH, host=f"rack{number}", mechanisms=("openflow",),
        tunnel_ip=f"192.0.2.{number}", tunnel_types=TUNNEL_TYPES, capabilities=frozenset({"nicira", "bundles"}),
    )  # fmt: skip


def network_of(number: int) -> Network:
    """A VXLAN or GRE network."""
    kind = ("vxlan", "gre")[number % 2]
    return Network(f"network-{number}", number, (Segment(f"segment-{number}", kind, None, number),), 1450)


def port(number: int, network: Network) -> Port:
    """A port of a network; the ports of a network are spread over the nodes."""
    where = number % NODES + 1
    return Port(
        id=f"port-{number}", network_id=network.id, mac_address=_mac(number),
        fixed_ips=(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",),
        binding=Binding(switch_node_id(where), network.segments[0].id, "openflow", number // NODES + 1), revision=1,
    )  # fmt: skip


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in (0xFA160000_0000 + number).to_bytes(6, "big"))


def compiled(networks: int) -> Program:
    """The program of the first node for so many networks."""
    nodes = {item.id: item for item in map(node, range(1, NODES + 1))}
    nets = {item.id: item for item in map(network_of, range(1, networks + 1))}
    numbers = enumerate(item for item in nets.values() for _ in range(PORTS_PER_NETWORK))
    ports = {item.id: item for item in (port(number, network) for number, network in numbers)}
    intent = Intent()
    intent.apply(Change.of(1, nets, ports, nodes))
    me = nodes[switch_node_id(1)]
    here = (item for item in ports.values() if item.binding is not None and item.binding.node_id == me.id)
    attachments = {item.id: Attachment(item.id, f"tap{n}", 100 + n % 60_000) for n, item in enumerate(here)}
    tunnels = {"vxlan": 1, "gre": 2, "geneve": 3}
    return OpenFlowMechanismDriver().compile(intent, me, Observation(me.id, attachments, {}, tunnels))


def networks_for(flows: int) -> int:
    """How many networks give a program of about that many flows."""
    few, many = (sum(1 for _ in compiled(networks).flows()) for networks in (1, 11))
    return max(1, round((flows - few) / ((many - few) / 10)) + 1)


def sized(flows: int) -> Program:
    """A fresh program of about that many flows (nothing of it hashed or encoded yet)."""
    return compiled(networks_for(flows))
