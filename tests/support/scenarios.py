"""Random intents for property tests: networks, nodes of both kinds, ports bound to them, and sequences of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import strategies as st

from controller.intent import Change, Intent
from controller.model import (
    AddressPair,
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

PHYSICAL_NETWORKS = ("physnet1", "physnet2")
SEGMENT_KINDS = (
    ("flat", "physnet1", None),
    ("flat", "physnet2", None),
    ("vlan", "physnet1", 100),
    ("vlan", "physnet1", 101),
    ("vlan", "physnet2", 100),
    ("gre", None, 77),
    ("gre", None, 100),
    ("vxlan", None, 77),
    ("vxlan", None, 100),
)
"""What segments may be: numbers are equal across types and physical networks on purpose."""


@dataclass(frozen=True)
class State:
    """Everything that exists at one moment; the intent is a function of it."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    ports: Mapping[str, Port] = field(default_factory=dict)


def switch_node(number: int, **changes: object) -> Node:
    """An Open vSwitch node that can do everything."""
    node = Node(
        id=switch_node_id(number),
        key=number,
        kind=NodeKind.SWITCH,
        host=f"sw{number}",
        mechanisms=("openflow",),
        tunnel_ip=f"192.0.2.{number}",
        tunnel_types=frozenset({"gre", "vxlan", "geneve"}),
        physical_networks={name: f"eth-{name}" for name in PHYSICAL_NETWORKS},
        capabilities=frozenset({"nicira", "bundles", "meters"}),
    )
    return replace(node, **changes)  # type: ignore[arg-type]


def host_node(number: int, **changes: object) -> Node:
    """A legacy host that can do everything a Linux bridge can."""
    node = Node(
        id=f"host:lb{number}",
        key=number,
        kind=NodeKind.HOST,
        host=f"lb{number}",
        mechanisms=("linuxbridge",),
        tunnel_ip=f"192.0.2.{number}",
        tunnel_types=frozenset({"gre", "vxlan"}),
        physical_networks={name: f"eth-{name}" for name in PHYSICAL_NETWORKS},
    )
    return replace(node, **changes)  # type: ignore[arg-type]


def make_port(network: Network, number: int, node: Node | None = None, **changes: object) -> Port:
    """A port with addresses made from its number, bound to the network's first segment if a node is given."""
    binding = None
    if node is not None:
        binding = Binding(node.id, network.segments[0].id, node.mechanisms[0], port_key=number)
    port = Port(
        id=f"{number:08x}-0000-4000-8000-{network.key:012x}",
        network_id=network.id,
        mac_address=f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
        fixed_ips=(f"10.0.{number >> 8}.{number & 255}", f"2001:db8::{number:x}"),
        host=node.host if node else "",
        binding=binding,
    )
    return replace(port, **changes)  # type: ignore[arg-type]


def make_network(key: int, *kinds: tuple[str, str | None, int | None], **changes: object) -> Network:
    """A network whose segments are of these kinds."""
    network_id = f"{key:08x}-aaaa-4000-8000-{key:012x}"
    segments = tuple(Segment(f"{network_id}/{number}", *kind) for number, kind in enumerate(kinds))
    return replace(Network(network_id, key, segments), **changes)  # type: ignore[arg-type]


def change_between(old: State, new: State, revision: int) -> Change:
    """The change that turns one state into the other, as the feed would tell it."""
    return Change.of(
        revision,
        networks=_replaced(old.networks, new.networks),
        nodes=_replaced(old.nodes, new.nodes),
        ports=_replaced(old.ports, new.ports),
    )


def intent_of(state: State, revision: int = 1) -> Intent:
    """The intent computed from nothing."""
    intent = Intent()
    intent.apply(change_between(State(), state, revision))
    return intent


def observe(node: Node, ports: Mapping[str, Port]) -> Observation:
    """Every bound port of the node plugged in."""
    here = sorted(key for key, port in ports.items() if port.binding and port.binding.node_id == node.id)
    if node.kind is NodeKind.HOST:
        return Observation(node.id, {key: Attachment(key, f"tap{key[:11]}") for key in here})
    attachments = {key: Attachment(key, f"vif{number}", 100 + number) for number, key in enumerate(here)}
    uplinks = {name: 10 + number for number, name in enumerate(sorted(node.physical_networks))}
    tunnels = {name: 20 + number for number, name in enumerate(sorted(node.tunnel_types))}
    return Observation(node.id, attachments, uplinks, tunnels)


def _replaced(old: Mapping[str, object], new: Mapping[str, object]) -> dict:  # type: ignore[type-arg]
    changed = {key: item for key, item in new.items() if old.get(key) != item}
    return {**{key: None for key in old if key not in new}, **changed}


def random_networks(dice: Random) -> dict[str, Network]:
    """Networks on different segments; some with two segments, some down."""
    kinds = dice.sample(SEGMENT_KINDS, len(SEGMENT_KINDS))
    result: dict[str, Network] = {}
    for key in range(1, dice.randint(1, 4) + 1):
        taken = [kinds.pop() for _ in range(dice.choice((1, 1, 2))) if kinds]
        network = make_network(key, *taken, admin_state_up=dice.random() < 0.85, arp_responder=dice.random() < 0.6)
        result[network.id] = network
    return result


def random_nodes(dice: Random) -> dict[str, Node]:
    """Nodes of both kinds; some without a tunnel address or without one of the physical networks."""
    result = {}
    for number in range(1, dice.randint(2, 4) + 1):
        node = dice.choice((switch_node, host_node))(number)
        flaw = dice.random()
        if flaw < 0.1:
            node = replace(node, tunnel_ip=None, tunnel_types=frozenset())
        elif flaw < 0.2:
            node = replace(node, physical_networks={"physnet1": "eth-physnet1"})
        result[node.id] = node
    return result


def realisable(network: Network, node: Node) -> Segment | None:
    """The first segment of the network that the node can realise."""
    for segment in network.segments:
        if segment.physical_network is None:
            if segment.network_type in node.tunnel_types or segment.network_type == "local":
                return segment
        elif segment.physical_network in node.physical_networks:
            return segment
    return None


@st.composite
def states(draw: st.DrawFn) -> State:
    """A whole state: every port is bound where its node can realise its network.

    Everything but the number of ports comes from one seed, so that states are well mixed; fewer ports is simpler.
    """
    seed = draw(st.integers(0, 1 << 32))
    all_networks, all_nodes = random_networks(Random(f"networks {seed}")), random_nodes(Random(f"nodes {seed}"))
    numbers = range(1, draw(st.integers(4, 20)) + 1)
    ports = [random_port(Random(f"port {seed} {number}"), number, all_networks, all_nodes) for number in numbers]
    return State(all_networks, all_nodes, {port.id: port for port in ports})


def random_port(dice: Random, number: int, all_networks: Mapping[str, Network], all_nodes: Mapping[str, Node]) -> Port:
    """One port with that number, somewhere or nowhere."""
    network, node = dice.choice(list(all_networks.values())), dice.choice(list(all_nodes.values()))
    segment = realisable(network, node)
    own, virtual = f"fa:16:3e:00:00:{number:02x}", "00:00:5e:00:01:01"
    pair = AddressPair("172.16.0.0/24", dice.choice((own, virtual)))
    port = replace(
        make_port(network, number),
        id=f"{number:08x}-0000-4000-8000-{number:012x}",
        admin_state_up=dice.random() < 0.85,
        port_security_enabled=dice.random() < 0.75,
        allowed_address_pairs=(pair,) if dice.random() < 0.3 else (),
        host=node.host,
    )
    if segment is None or dice.random() < 0.15:
        return port
    return replace(port, binding=Binding(node.id, segment.id, node.mechanisms[0], port_key=number))


@st.composite
def histories(draw: st.DrawFn, steps: int = 5) -> Sequence[State]:
    """A sequence of states: ports come, move, change and go; now and then a network or node changes."""
    state = draw(states())
    result = [state]
    for _ in range(draw(st.integers(1, steps))):
        state = draw(_next_state(state))
        result.append(state)
    return result


@st.composite
def _next_state(draw: st.DrawFn, state: State) -> State:
    what = draw(st.sampled_from(("port", "port", "port", "network", "node", "address", "gone")))
    if what == "port" or not state.ports:
        number, seed = draw(st.integers(1, 20)), draw(st.integers(0, 1 << 32))
        port = random_port(Random(f"port {seed}"), number, state.networks, state.nodes)
        return replace(state, ports={**state.ports, port.id: port})
    if what == "network":
        network = state.networks[draw(st.sampled_from(sorted(state.networks)))]
        flag = draw(st.sampled_from(("admin_state_up", "arp_responder")))
        network = replace(network, **{flag: not getattr(network, flag)})
        return replace(state, networks={**state.networks, network.id: network})
    if what == "node":
        node = state.nodes[draw(st.sampled_from(sorted(state.nodes)))]
        moved = None if node.tunnel_ip is None else f"198.51.100.{draw(st.integers(1, 2)) * 100 + node.key}"
        return replace(state, nodes={**state.nodes, node.id: replace(node, tunnel_ip=moved)})
    if what == "address":
        port = state.ports[draw(st.sampled_from(sorted(state.ports)))]
        port = replace(port, fixed_ips=(f"10.0.0.{draw(st.integers(1, 5))}",))
        return replace(state, ports={**state.ports, port.id: port})
    gone = draw(st.sampled_from(sorted(state.ports)))
    return replace(state, ports={key: port for key, port in state.ports.items() if key != gone})
