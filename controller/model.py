"""The values everything else speaks about: networks, ports, nodes, bindings.

Frozen dataclasses without behaviour beyond derived names; named tuples where there is one for every port of every
switch that connects (they cost half as much to make). This module imports nothing of ours.
The words are those of ``docs/architecture.md``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, NamedTuple

TUNNEL_TYPES = frozenset({"gre", "vxlan", "geneve"})
"""Network types realised by tunnels between endpoints; they need a tunnel address on the node."""

PHYSICAL_TYPES = frozenset({"flat", "vlan"})
"""Network types realised on a physical network; they need an uplink mapping on the node."""


class NodeKind(enum.StrEnum):
    """What kind of machine a node is; decides which mechanism drivers may realise segments on it."""

    SWITCH = "switch"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Segment:
    """One realisation of a network: ``(network_type, physical_network, segmentation_id)``."""

    id: str
    network_type: str
    physical_network: str | None = None
    segmentation_id: int | None = None

    @property
    def isolation_key(self) -> tuple[str, str | None, int | None]:
        """What keeps networks apart: GRE 77 and VXLAN 77 are different networks."""
        return (self.network_type, self.physical_network, self.segmentation_id)

    def __str__(self) -> str:
        number = "" if self.segmentation_id is None else f" {self.segmentation_id}"
        where = "" if self.physical_network is None else f" on {self.physical_network}"
        return f"{self.network_type}{number}{where}"


@dataclass(frozen=True, slots=True)
class Network:
    """A broadcast domain. ``key`` is its number on the wire of our pipeline (1..2^20-1), stable for its life."""

    id: str
    key: int
    segments: tuple[Segment, ...]
    mtu: int = 1500
    admin_state_up: bool = True
    arp_responder: bool = True
    name: str = ""

    def segment(self, segment_id: str) -> Segment | None:
        """The segment with that id, or None."""
        return next((segment for segment in self.segments if segment.id == segment_id), None)


@dataclass(frozen=True, slots=True)
class AddressPair:
    """An allowed address pair: ``ip_address`` is an address or CIDR; ``mac_address`` is lower case with colons."""

    ip_address: str
    mac_address: str


@dataclass(frozen=True, slots=True)
class Binding:
    """Where and how a port is realised.

    ``port_key`` numbers the port on its node (1..2^20-1) and, with the node's key, is the destination key of the
    pipeline. It is stable while the port stays on the node.
    """

    node_id: str
    segment_id: str
    mechanism: str
    port_key: int
    vif_type: str = "ovs"
    vif_details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a network. ``binding`` is None while no node realises it; such a port carries nothing.

    ``revision`` is the last revision at which the intent for this port changed; a port is ACTIVE only when every node
    that must know it has acknowledged a revision at least as new.
    """

    id: str
    network_id: str
    mac_address: str
    fixed_ips: tuple[str, ...] = ()
    admin_state_up: bool = True
    port_security_enabled: bool = True
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    device_owner: str = ""
    host: str = ""
    binding: Binding | None = None
    binding_refusal: str = ""
    local_links: tuple[tuple[str, str], ...] = ()
    revision: int = 0

    @property
    def may_serve_dhcp(self) -> bool:
        """Whether DHCP answers and router advertisements may come from this port (network services only)."""
        return self.device_owner.startswith("network:")


def ip_version(address: str) -> int:
    """4 or 6."""
    return 6 if ":" in address else 4


@dataclass(frozen=True, slots=True)
class Node:
    """Where ports live. ``key`` is its number in destination keys (1..2^16-1), stable for the node's life.

    ``id`` is ``switch:<16 hex digits of the datapath id>`` or ``host:<host name>``. ``host`` is what
    ``binding:host_id`` of a port must say. ``physical_networks`` maps physical network -> uplink name on the node.
    ``tunnel_types`` lists what the node can encapsulate; empty without ``tunnel_ip``. ``mechanisms`` are the
    mechanism drivers that may realise segments there. ``limits`` explains what the node cannot do: network type ->
    reason for an operator. ``link_tags`` maps physical network -> first and last VLAN id that links between switches
    carry (0: the flat network), where these are the only way into it. ``served`` maps mechanism -> the network types
    that it has on this node, where not all that it knows; ``vif_details`` maps mechanism -> what it adds to the
    binding of a port there.
    """

    id: str
    key: int
    kind: NodeKind
    host: str
    mechanisms: tuple[str, ...]
    tunnel_ip: str | None = None
    tunnel_types: frozenset[str] = frozenset()
    physical_networks: Mapping[str, str] = field(default_factory=dict)
    capabilities: frozenset[str] = frozenset()
    limits: Mapping[str, str] = field(default_factory=dict)
    link_tags: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    served: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vif_details: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    admin_state_up: bool = True

    @property
    def datapath_id(self) -> int | None:
        """The OpenFlow datapath id of a switch, None for a host."""
        return int(self.id.removeprefix("switch:"), 16) if self.kind is NodeKind.SWITCH else None

    def reaches(self, peer: Node) -> bool:
        """Whether tunnels lead from here to the peer: both have an endpoint, of the same IP version."""
        if not self.tunnel_ip or not peer.tunnel_ip:
            return False
        return ip_version(self.tunnel_ip) == ip_version(peer.tunnel_ip)

    def facts(self) -> NodeFacts:
        """What the node said of itself."""
        return NodeFacts(*_facts_of(self))

    def said(self, facts: NodeFacts) -> bool:
        """Whether just that is what the node said of itself. Makes no value only to compare it: every switch that
        comes back is asked this."""
        return bool(_facts_of(self) == _facts_of(facts))


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node says of itself: a :class:`Node` without the numbers that the store gives it."""

    id: str
    kind: NodeKind
    host: str
    mechanisms: tuple[str, ...]
    tunnel_ip: str | None = None
    tunnel_types: frozenset[str] = frozenset()
    physical_networks: Mapping[str, str] = field(default_factory=dict)
    capabilities: frozenset[str] = frozenset()
    limits: Mapping[str, str] = field(default_factory=dict)
    link_tags: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    served: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vif_details: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


_facts_of = attrgetter(*(item.name for item in fields(NodeFacts)))
"""What a node said of itself, in the order of :class:`NodeFacts`; of that or of a :class:`Node`."""


class Attachment(NamedTuple):
    """A port's endpoint seen on a node: the interface that was plugged in. ``ofport`` only on switches."""

    port_id: str
    device: str
    ofport: int | None = None
    link_up: bool = True


class PortView(NamedTuple):
    """An OpenFlow port as the switch reports it."""

    name: str
    link_up: bool


@dataclass(frozen=True, slots=True)
class FabricTree:
    """How broadcast of one physical network leaves a switch, and where what is not in the fabric is reached.

    ``links`` maps OpenFlow port of a tree link -> ids of the switches behind it. ``clouds`` are those of the ports
    behind which there is an uplink in use. ``uplinks`` are the switch's own ports in use that lead out of the fabric:
    to a legacy cloud, or to a legacy host. ``exits`` counts these among all linked switches.

    An exit that is not a port of one known legacy host is *wild*: addresses that nobody knows may be behind it.
    ``wild`` are the ports of ``links`` behind which there is one, ``wild_uplinks`` those of ``uplinks`` that are, and
    ``wild_exits`` counts them; with exactly one, ``exit`` are the ports towards it, the best first (empty on the
    switch that has it). ``tags`` are the first and last VLAN id that links carry for the physical network; 0 stands
    for untagged frames, that is for its flat network.
    """

    links: Mapping[int, frozenset[str]] = field(default_factory=dict)
    clouds: frozenset[int] = frozenset()
    uplinks: tuple[int, ...] = ()
    exits: int = 0
    wild: frozenset[int] = frozenset()
    wild_uplinks: tuple[int, ...] = ()
    wild_exits: int = 0
    exit: tuple[int, ...] = ()
    tags: tuple[int, int] = (0, 4094)

    def carries(self, segment: Segment) -> bool:
        """Whether links carry the segment, which is one of this physical network."""
        return self.tags[0] <= (segment.segmentation_id or 0) <= self.tags[1]


@dataclass(frozen=True, slots=True)
class Fabric:
    """The links between OpenFlow switches as one switch sees them.

    ``links`` are its OpenFlow ports with a link, ``members`` the switches that links reach (itself among them),
    ``next_hops`` maps each other member -> ports towards it, the best first, the rest for when that is down; ``hosts``
    does so for legacy hosts that are cabled to a member (node id -> ports, here the one it is cabled to). ``trees``
    has an entry for each physical network that links carry.

    ``learned`` maps network id -> MAC address of nobody's -> (switch, OpenFlow port) where it was heard, ``known``
    network id -> (own OpenFlow port, MAC address) of frames that the controller need not see, and ``muted`` are own
    ports of which it wants none.
    """

    links: tuple[int, ...] = ()
    members: frozenset[str] = frozenset()
    next_hops: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    hosts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    trees: Mapping[str, FabricTree] = field(default_factory=dict)
    learned: Mapping[str, Mapping[str, tuple[str, int]]] = field(default_factory=dict)
    known: Mapping[str, frozenset[tuple[int, str]]] = field(default_factory=dict)
    muted: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Observation:
    """What is plugged into one node just now. Never stored; it changes that node's own plan only.

    ``attachments`` maps port id -> endpoint. ``uplinks`` maps physical network -> OpenFlow port number,
    ``tunnel_ports`` network type -> OpenFlow port number (both empty for hosts, whose agent resolves names itself).
    ``switch_ports`` are the OpenFlow ports by number of a switch that has no other way to say what is plugged in:
    ports of the API name them by ``local_link_information``. ``fabric`` is None where no links between switches are
    looked for. ``standby_uplinks`` are further ports into physical networks of which another port is in use: nothing
    goes through them, and they are no links.
    """

    node_id: str
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    uplinks: Mapping[str, int] = field(default_factory=dict)
    tunnel_ports: Mapping[str, int] = field(default_factory=dict)
    switch_ports: Mapping[int, PortView] = field(default_factory=dict)
    fabric: Fabric | None = None
    standby_uplinks: frozenset[int] = frozenset()

    def plugged(self, attachments: Mapping[str, Attachment]) -> Observation:
        """The same with other attachments: what ``replace`` makes, in a third of the time."""
        return Observation(self.node_id, attachments, self.uplinks, self.tunnel_ports, self.switch_ports, self.fabric,
                           self.standby_uplinks)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeclaredSwitch:
    """What an operator says of a switch that has no OVSDB to ask. Ports are named by name or number.

    ``name`` is what ``binding:host_id`` says (empty: the datapath id). ``uplinks`` maps physical network -> ports into
    it, the preferred one first. ``tunnel_ports`` maps network type -> the port whose packets are encapsulated with
    ``tunnel_ip`` as source and the remote address of each flow.
    """

    node_id: str
    name: str = ""
    uplinks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tunnel_ip: str | None = None
    tunnel_ports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Plug:
    """One end of a planned cable: a switch by datapath id or name, and a port of it by name or number."""

    switch: str
    port: str

    def __str__(self) -> str:
        return f"{self.switch} port {self.port}"


@dataclass(frozen=True, slots=True, order=True)
class Cable:
    """A cable that should be there."""

    a: Plug
    b: Plug


def switch_node_id(datapath_id: int) -> str:
    """The node id of the switch with that datapath id."""
    return f"switch:{datapath_id:016x}"


def host_node_id(host: str) -> str:
    """The node id of the legacy host with that name."""
    return f"host:{host}"
