"""What a trace may ask of the world: ports and networks, who can hear whom, and the plan of one node at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from controller.dataplane import fields
from controller.dataplane.values import Program
from controller.errors import IsthmusError
from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from legacy_agent.host_plan import HostPlan
from topology.cabling import Cabling


class Unseen(IsthmusError):
    """A node cannot be looked at; the message says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A node with its plan and what is plugged into it; ``notes`` are what an operator must know of it, such as that
    it is not connected."""

    node: Node
    plan: Program | HostPlan
    observation: Observation
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """``lock`` guards ``intent``. ``look`` compiles one node's plan; it raises :class:`Unseen`.

    ``learned``: whether physical networks and bridges of legacy hosts are taken to know where the addresses of ports
    are, as they do after the first answer; else they bring every frame to everybody.
    """

    intent: Intent
    look: Callable[[str], Seen]
    cabling: Cabling = field(default_factory=Cabling)
    lock: AbstractContextManager[object] = field(default_factory=nullcontext)
    learned: bool = True

    def port(self, port_id: str) -> Port | None:
        """The port with that id."""
        return self.intent.ports.get(port_id)

    def network(self, network_id: str) -> Network | None:
        """The network with that id."""
        return self.intent.networks.get(network_id)

    def node(self, node_id: str) -> Node | None:
        """The node with that id."""
        return self.intent.nodes.get(node_id)

    def segment(self, port: Port) -> Segment | None:
        """The segment that a port is bound by."""
        network = self.network(port.network_id)
        return network.segment(port.binding.segment_id) if network is not None and port.binding is not None else None

    def owner(self, network_id: str, mac: int) -> Port | None:
        """The one bound port of a network with that MAC address."""
        text = fields.mac_text(mac)
        with self.lock:
            ports = list(self.intent.bound_ports(network_id).values())
        found = [port for port in ports if port.mac_address == text]
        return found[0] if len(found) == 1 else None

    def home(self, sender: Port, mac: int) -> Port | None:
        """Where networks have learned that an address is, seen from a port: at a port that may answer it."""
        owner = self.owner(sender.network_id, mac) if self.learned else None
        network = self.network(sender.network_id)
        if owner is None or not owner.admin_state_up or network is None or not network.admin_state_up:
            return None
        return owner if self.segment(owner) == self.segment(sender) else None

    def endpoints(self, network_type: str, address: str) -> list[str]:
        """The nodes whose tunnels of that type end at the address."""
        with self.lock:
            nodes = list(self.intent.nodes.values())
        return [node.id for node in nodes if node.tunnel_ip == address and network_type in node.tunnel_types]

    def hearers(self, physical_network: str, network_id: str, home: Port | None) -> list[str]:
        """The nodes that a frame of the network on a physical network is brought to: where the :meth:`home` of its
        destination is known, those that lead there; else all that carry the network. Hosts that are cabled to switches
        are behind these."""
        with self.lock:
            nodes = [self.intent.nodes[key] for key in self._interested(physical_network, network_id)
                     if key in self.intent.nodes]  # fmt: skip
        attached = [node.id for node in nodes if physical_network in node.physical_networks
                    and self.cabling.socket(node.id, physical_network) is None]  # fmt: skip
        if home is None or home.binding is None:
            return sorted(attached)
        ways = self._ways_to(home.binding.node_id, physical_network)
        return sorted(node_id for node_id in attached if node_id in ways)

    def _interested(self, physical_network: str, network_id: str) -> set[str]:
        """Who may do something with a frame of the network: nodes with ports of it, and switches that lead on."""
        linked = {end.node_id for end in (*self.cabling.links, *self.cabling.sockets.get(physical_network, ()))}
        leading = self.cabling.entrances.get(physical_network, frozenset()) & linked
        return {*self.intent.nodes_of(network_id), *leading}

    def _ways_to(self, node_id: str, physical_network: str) -> frozenset[str]:
        """The nodes by which a physical network reaches a node."""
        socket = self.cabling.socket(node_id, physical_network)
        node = self.node(node_id)
        if socket is None and node is not None and node.kind is NodeKind.HOST:
            return frozenset({node_id})
        return self.cabling.joined(node_id if socket is None else socket.node_id)
