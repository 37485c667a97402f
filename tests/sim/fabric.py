"""A data centre in memory: compiled programs run by interpreter switches, host plans by modelled Linux hosts.

The underlay has physical networks (transparent to tags, everyone attached hears everything) and an IP network that
brings tunnel packets, known by type and key, to the endpoint they are addressed to. Nothing here knows the intent: it
executes plans only.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from controller.dataplane import fields
from controller.dataplane.interpreter import Switch
from controller.dataplane.packet import Packet, Vlan
from controller.dataplane.values import Program
from controller.model import Node, Observation, ip_version
from legacy_agent.host_plan import HostNetwork, HostPlan, HostPort
from mechanisms.api import Plan

MOST_HOPS = 1000


class Wire(NamedTuple):
    """A packet on the underlay: on a physical network, or in a tunnel of a type and key towards an endpoint."""

    sender: str
    packet: Packet
    physical_network: str | None = None
    tunnel: tuple[str, int] | None = None
    endpoint: str | None = None


class Delivery(NamedTuple):
    """A packet that reached a port."""

    port_id: str
    packet: Packet


Sent = Wire | Delivery


class Machine(Protocol):
    """A node that executes its plan."""

    def from_port(self, port_id: str, packet: Packet) -> Iterable[Sent]:
        """The endpoint of a port sends."""

    def from_physical(self, physical_network: str, packet: Packet) -> Iterable[Sent]:
        """A frame comes in by an uplink."""

    def from_tunnel(self, tunnel: tuple[str, int], source: str, packet: Packet) -> Iterable[Sent]:
        """A packet comes out of a tunnel."""


class SwitchMachine:
    """A switch that runs a program; what its ports are for is in the observation."""

    def __init__(self, node: Node, program: Program, observation: Observation) -> None:
        self._node = node
        self._ofports = {port_id: seen.ofport or 0 for port_id, seen in observation.attachments.items()}
        self._ports = {ofport: port_id for port_id, ofport in self._ofports.items()}
        self._uplinks, self._tunnels = observation.uplinks, observation.tunnel_ports
        every = {*self._ports, *self._uplinks.values(), *self._tunnels.values()}
        self.switch = Switch(program, every, tunnel_ports=frozenset(self._tunnels.values()))

    def from_port(self, port_id: str, packet: Packet) -> Iterator[Sent]:
        return self._run(packet, self._ofports[port_id])

    def from_physical(self, physical_network: str, packet: Packet) -> Iterator[Sent]:
        return self._run(packet, self._uplinks[physical_network])

    def from_tunnel(self, tunnel: tuple[str, int], source: str, packet: Packet) -> Iterator[Sent]:
        outer = f"tun_ipv{ip_version(source)}"
        came = fields.named(f"{outer}_src").parse(source)
        known = {"tunnel_id": tunnel[1], f"{outer}_src": came, f"{outer}_dst": 0}
        return self._run(packet.changed(**known), self._tunnels[tunnel[0]])

    def _run(self, packet: Packet, in_port: int) -> Iterator[Sent]:
        uplinks = {ofport: name for name, ofport in self._uplinks.items()}
        tunnels = {ofport: name for name, ofport in self._tunnels.items()}
        for emission in self.switch.inject(packet, in_port):
            port, leaving, plain = emission.port, emission.packet, emission.packet.without_tunnel()
            if port in self._ports:
                yield Delivery(self._ports[port], plain)
            elif port in uplinks:
                yield Wire(self._node.id, plain, physical_network=uplinks[port])
            else:
                told = [name for name in ("tun_ipv4_dst", "tun_ipv6_dst") if leaving.get(name)]
                assert len(told) == 1, f"a packet for one endpoint names {told}"
                endpoint = fields.named(told[0]).format(leaving[told[0]])
                yield Wire(self._node.id, plain, tunnel=(tunnels[port], leaving["tunnel_id"]), endpoint=endpoint)


class HostMachine:
    """A Linux host as its agent would wire it: bridge, VLAN interface, tunnels with static forwarding, isolation."""

    def __init__(self, node: Node, plan: HostPlan) -> None:
        self._node = node
        self._networks = plan.networks
        self._ports = {port.port_id: (network, port) for network in plan.networks for port in network.ports}

    def from_port(self, port_id: str, packet: Packet) -> Iterator[Sent]:
        network, port = self._ports.get(port_id, (None, None))
        if network is None or port is None or not _may_send(port, packet):
            return
        yield from self._local(network, packet, but=port_id)
        destination = packet["eth_dst"]
        if any(fields.mac(other.mac) == destination and other.admin_state_up for other in network.ports):
            return
        yield from self._outwards(network, packet)

    def from_physical(self, physical_network: str, packet: Packet) -> Iterator[Sent]:
        for network in self._networks:
            if network.physical_network == physical_network:
                mine = _untagged(packet, network)
                if mine is not None:
                    yield from self._local(network, mine)

    def from_tunnel(self, tunnel: tuple[str, int], source: str, packet: Packet) -> Iterator[Sent]:
        for network in self._networks:
            known = tunnel[0] != "gre" or source in network.peers
            if (network.network_type, network.segmentation_id) == tunnel and known:
                yield from self._local(network, packet)

    def _local(self, network: HostNetwork, packet: Packet, but: str = "") -> Iterator[Delivery]:
        up = [port for port in network.ports if port.admin_state_up and port.port_id != but]
        owners = [port for port in up if fields.mac(port.mac) == packet["eth_dst"]]
        for port in owners or up:
            yield Delivery(port.port_id, packet)

    def _outwards(self, network: HostNetwork, packet: Packet) -> Iterator[Wire]:
        if network.network_type == "flat":
            yield Wire(self._node.id, packet, physical_network=network.physical_network)
        elif network.network_type == "vlan":
            tagged = Packet(packet.headers, (Vlan(network.segmentation_id or 0), *packet.vlans), packet.payload)
            yield Wire(self._node.id, tagged, physical_network=network.physical_network)
        elif network.segmentation_id is not None:
            known = {fields.mac(remote.mac): remote.endpoint for remote in network.remotes}
            only = known.get(packet["eth_dst"])
            for endpoint in (only,) if only else network.peers:
                tunnel = (network.network_type, network.segmentation_id)
                yield Wire(self._node.id, packet, tunnel=tunnel, endpoint=endpoint)


def _untagged(packet: Packet, network: HostNetwork) -> Packet | None:
    """The frame as the bridge of the network gets it from its uplink, None if it is for another network."""
    if network.network_type == "flat":
        return None if packet.vlans else packet
    if not packet.vlans or packet.vlans[0].vid != network.segmentation_id:
        return None
    return Packet(packet.headers, packet.vlans[1:], packet.payload)


def _may_send(port: HostPort, packet: Packet) -> bool:
    """The anti-spoofing rules as far as these packets need them."""
    if not port.admin_state_up or packet.vlans:
        return False
    if not port.port_security:
        return True
    if packet.get("udp_src") == 67 and not port.may_serve_dhcp:
        return False
    name = "arp_spa" if "arp_spa" in dict(packet.headers) else "ipv4_src"
    source, sender = packet.get(name), packet.get("arp_sha")
    if source is None or sender not in (None, packet["eth_src"]):
        return False
    mac, address = fields.mac_text(packet["eth_src"]), ipaddress.ip_address(source)
    return any(mac == item.mac and address in ipaddress.ip_network(item.cidr) for item in port.allowed)


@dataclass
class Fabric:
    """All machines and the underlay between them."""

    nodes: Mapping[str, Node]
    machines: dict[str, Machine] = field(default_factory=dict)

    def install(self, node: Node, plan: Plan, observation: Observation) -> None:
        """Give a node its plan."""
        if isinstance(plan, Program):
            self.machines[node.id] = SwitchMachine(node, plan, observation)
        else:
            self.machines[node.id] = HostMachine(node, plan)

    def send(self, node_id: str, port_id: str, packet: Packet) -> list[Delivery]:
        """Every port that the packet reaches, once per copy."""
        return self._settle(self.machines[node_id].from_port(port_id, packet))

    def put(self, wire: Wire) -> list[Delivery]:
        """What comes of a packet that appears on the underlay."""
        return self._settle([wire])

    def _settle(self, sent: Iterable[Sent]) -> list[Delivery]:
        waiting, arrived = deque(sent), []
        for _ in range(MOST_HOPS):
            if not waiting:
                return arrived
            item = waiting.popleft()
            if isinstance(item, Delivery):
                arrived.append(item)
            else:
                waiting.extend(self._carry(item))
        raise AssertionError("the packet never comes to rest: there is a loop")

    def _carry(self, wire: Wire) -> Iterator[Sent]:
        for node in self.nodes.values():
            if node.id == wire.sender or node.id not in self.machines:
                continue
            if wire.physical_network is not None and wire.physical_network in node.physical_networks:
                yield from self.machines[node.id].from_physical(wire.physical_network, wire.packet)
            elif wire.tunnel is not None and node.tunnel_ip == wire.endpoint and wire.tunnel[0] in node.tunnel_types:
                sender = self.nodes.get(wire.sender)
                source = (sender.tunnel_ip if sender else None) or "203.0.113.66"
                yield from self.machines[node.id].from_tunnel(wire.tunnel, source, wire.packet)
