"""The intent: networks, ports and nodes at one revision, indexed for compiling.

Fed by the change feed, one :class:`Change` at a time; single writer. Every change names the objects as they are now
(None: gone), so applying a change twice, or skipping states in between, ends in the same intent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.local_links import link_on, switches_of
from controller.model import Cable, DeclaredSwitch, Network, Node, Port, Segment

EMPTY: Mapping[str, Port] = {}
NOBODY: Mapping[str, Node] = {}
NOTHING: Mapping[str, Mapping[str, Port]] = {}
NO_LINKS: Mapping[str, str] = {}

OWN = ("capabilities", "limits", "vif_details")
"""Fields of a node that concern its own plan alone: of other nodes they may be as they were. A thousand switches that
come back after an upgrade, each with one capability more, would else be a million plans."""


@dataclass(frozen=True, slots=True)
class Change:
    """One committed revision: the objects it touched, as they are now. Keys are ids, None means deleted. ``cables`` is
    the whole cable plan, if that was touched; ``at`` is when its transaction began (Unix time), if that is known."""

    revision: int
    networks: Mapping[str, Network | None]
    ports: Mapping[str, Port | None]
    nodes: Mapping[str, Node | None]
    switches: Mapping[str, DeclaredSwitch | None] = field(default_factory=dict)
    cables: tuple[Cable, ...] | None = None
    at: float | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        revision: int,
        networks: Mapping[str, Network | None] | None = None,
        ports: Mapping[str, Port | None] | None = None,
        nodes: Mapping[str, Node | None] | None = None,
        switches: Mapping[str, DeclaredSwitch | None] | None = None,
        cables: tuple[Cable, ...] | None = None,
    ) -> Change:
        """A change with empty mappings for what is not given."""
        return cls(revision, networks or {}, ports or {}, nodes or {}, switches or {}, cables)


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change may have altered: node id -> ids of the networks concerned there.

    ``displaced`` are the ports on nodes that carry their network by another segment now: some of them carry traffic no
    more, or do so again, though nothing of them changed.
    """

    revision: int
    nodes: Mapping[str, frozenset[str]]
    displaced: frozenset[str] = frozenset()


Carriers = Mapping[str, Mapping[str, Node]]
"""Segment id -> the nodes that carry a network by it, by their ids and ordered by key."""

Place = tuple[str, str, str]
"""Where a port is bound: network, node and segment."""


class Intent:
    """Networks, ports and nodes with the indexes that the compilers need. Only bound ports are indexed by node."""

    def __init__(self) -> None:
        self.revision = 0
        self.networks: dict[str, Network] = {}
        self.ports: dict[str, Port] = {}
        self.nodes: dict[str, Node] = {}
        self.switches: dict[str, DeclaredSwitch] = {}
        self.cables: tuple[Cable, ...] = ()
        self._bound: dict[str, dict[str, Port]] = defaultdict(dict)
        self._carriers: dict[str, dict[str, dict[str, Port]]] = defaultdict(dict)
        self._carried: dict[str, dict[str, dict[str, Port]]] = defaultdict(dict)
        """Node -> network -> the ports bound there: the very dictionaries that ``_carriers`` has by network first."""
        self._links: dict[str, dict[str, str]] = defaultdict(dict)
        """Node -> bound port -> what the port says of where it is plugged in there."""
        self._bindings: dict[str, dict[str, dict[str, int]]] = {}
        """Network -> node -> segment -> how many ports are bound there by it."""
        self._wishes: dict[str, set[str]] = defaultdict(set)
        self._versions: dict[str, object] = {}
        self._known_carriers: dict[str, Carriers] = {}

    def version_of(self, network_id: str) -> object:
        """A token that is another object whenever anything that concerns the network changed: the network itself, its
        ports, or a node that carries it (but for :data:`OWN`). Results kept with the token are valid while it ``is``
        the same."""
        known = self._versions.get(network_id)
        return known if known is not None else self._versions.setdefault(network_id, object())

    def bound_ports(self, network_id: str) -> Mapping[str, Port]:
        """Port id -> port, for the bound ports of a network on all nodes."""
        return self._bound.get(network_id, EMPTY)

    def ports_on(self, node_id: str, network_id: str) -> Mapping[str, Port]:
        """Port id -> port, for the bound ports of a network on one node."""
        return self._carried.get(node_id, NOTHING).get(network_id, EMPTY)

    def ports_of(self, node_id: str) -> Mapping[str, Mapping[str, Port]]:
        """Network id -> port id -> port, for the bound ports on one node."""
        return self._carried.get(node_id, NOTHING)

    def links_on(self, node_id: str) -> Mapping[str, str]:
        """Port id -> name or number of the node's port, for the ports bound there that say themselves where they are
        plugged in (:func:`controller.local_links.link_on`)."""
        return self._links.get(node_id, NO_LINKS)

    def nodes_of(self, network_id: str) -> Iterable[str]:
        """Ids of the nodes with at least one bound port of the network."""
        return self._carriers.get(network_id, {}).keys()

    def networks_of(self, node_id: str) -> Iterable[str]:
        """Ids of the networks with at least one bound port on the node."""
        return self.ports_of(node_id).keys()

    def is_wished_for(self, node_id: str, host: str) -> bool:
        """Whether a port that is bound nowhere asks to be on that node, by the node's id or host name."""
        return bool(self._wishes.get(node_id) or self._wishes.get(host))

    def segment_on(self, node_id: str, network_id: str) -> Segment | None:
        """The segment by which the node carries the network (one per node and network), None if it does not.

        Should ports of the network be bound there by several segments, it is the network's first of them: the answer
        depends on what is bound and never on the order in which it came.
        """
        network, bound = self.networks.get(network_id), self._bindings.get(network_id, {}).get(node_id)
        if network is None or bound is None:
            return None
        for segment in network.segments:
            if segment.id in bound:
                return segment
        return None

    def peers_of(self, node_id: str, network_id: str) -> list[Node]:
        """The other nodes that carry the network by the same segment, ordered by key."""
        mine = self.segment_on(node_id, network_id)
        if mine is None:
            return []
        return [node for node in self.carriers_by(network_id, mine.id).values() if node.id != node_id]

    def carriers_by(self, network_id: str, segment_id: str) -> Mapping[str, Node]:
        """The nodes that carry the network by that segment, by their ids and ordered by key. Found out anew for a
        network when a node begins or ceases to carry it by a segment, or when the network or such a node is another;
        other changes of ports cost nothing."""
        known = self._known_carriers.get(network_id)
        if known is None:
            if network_id not in self.networks or network_id not in self._bindings:
                return NOBODY
            known = self._known_carriers[network_id] = self._find_carriers(network_id)
        return known.get(segment_id, NOBODY)

    def _find_carriers(self, network_id: str) -> Carriers:
        nodes: dict[str, list[Node]] = defaultdict(list)
        for node_id in self._bindings[network_id]:
            segment, node = self.segment_on(node_id, network_id), self.nodes.get(node_id)
            if segment is not None and node is not None:
                nodes[segment.id].append(node)
        for found in nodes.values():
            found.sort(key=lambda node: node.key)
        return {key: {node.id: node for node in found} for key, found in nodes.items()}

    def apply(self, change: Change) -> Touched:
        """Take over a change and say which nodes' plans it may alter, and for which networks."""
        touched: dict[str, set[str]] = defaultdict(set)
        for network_id, network in change.networks.items():
            self._replace_network(network_id, network, touched)
        for node_id, node in change.nodes.items():
            self._replace_node(node_id, node, touched)
        displaced = self._replace_ports(change.ports, touched)
        self.switches.update({key: said for key, said in change.switches.items() if said is not None})
        for key in [key for key, said in change.switches.items() if said is None]:
            self.switches.pop(key, None)
        self.cables = self.cables if change.cables is None else change.cables
        self.revision = max(self.revision, change.revision)
        nodes = {node: frozenset(networks) for node, networks in touched.items()}
        return Touched(self.revision, nodes, frozenset(displaced))

    def _replace_network(self, network_id: str, network: Network | None, touched: dict[str, set[str]]) -> None:
        if self.networks.get(network_id) == network:
            return
        if network is None:
            self.networks.pop(network_id, None)
        else:
            self.networks[network_id] = network
        self._outdate(network_id, carriers=True)
        for node_id in self.nodes_of(network_id):
            touched[node_id].add(network_id)

    def _replace_node(self, node_id: str, node: Node | None, touched: dict[str, set[str]]) -> None:
        before = self.nodes.get(node_id)
        if before == node:
            return
        if node is None:
            self.nodes.pop(node_id, None)
        else:
            self.nodes[node_id] = node
        touched[node_id] |= set(self.networks_of(node_id))
        if before is not None and node is not None and _same_to_others(before, node):
            for network_id in self.networks_of(node_id):
                self._known_carriers.pop(network_id, None)
            return
        for network_id in self.networks_of(node_id):
            self._outdate(network_id, carriers=True)
            for other in self.nodes_of(network_id):
                touched[other].add(network_id)

    def _replace_ports(self, ports: Mapping[str, Port | None], touched: dict[str, set[str]]) -> set[str]:
        changed = [(self.ports.get(key), port, key) for key, port in ports.items() if self.ports.get(key) != port]
        bound = [place for old, port, _ in changed for place in (_place(old), _place(port)) if place is not None]
        carried = {(node_id, network_id): self.segment_on(node_id, network_id) for network_id, node_id, _ in bound}
        networks = {port.network_id for old, new, _ in changed for port in (old, new) if port is not None}
        carriers = {network_id: set(self.nodes_of(network_id)) for network_id in networks}
        for old, port, port_id in changed:
            self._replace_port(port_id, old, port)
        for network_id, before in carriers.items():
            self._outdate(network_id)
            for node_id in before | set(self.nodes_of(network_id)):
                touched[node_id].add(network_id)
        displaced = [place for place, segment in carried.items() if self.segment_on(*place) != segment]
        return {port_id for place in displaced for port_id in self.ports_on(*place)}

    def _replace_port(self, port_id: str, old: Port | None, port: Port | None) -> None:
        if old is not None:
            self._unindex(old)
        if port is not None:
            self._index(port)
        if _place(old) != _place(port):
            self._count(_place(port), 1)
            self._count(_place(old), -1)
        for name in _wishes(old):
            self._wishes[name].discard(port_id)
            if not self._wishes[name]:
                del self._wishes[name]
        if port is None:
            self.ports.pop(port_id, None)
        else:
            self.ports[port_id] = port
            for name in _wishes(port):
                self._wishes[name].add(port_id)

    def _outdate(self, network_id: str, carriers: bool = False) -> None:
        self._versions.pop(network_id, None)
        if carriers:
            self._known_carriers.pop(network_id, None)

    def _count(self, place: Place | None, difference: int) -> None:
        """Count a port that came or went. The first and the last one change who carries the network."""
        if place is None:
            return
        network_id, node_id, segment_id = place
        nodes = self._bindings.setdefault(network_id, {})
        segments = nodes.setdefault(node_id, {})
        before = segments.get(segment_id, 0)
        segments[segment_id] = before + difference
        if before and segments[segment_id]:
            return
        self._known_carriers.pop(network_id, None)
        if not segments[segment_id]:
            del segments[segment_id]
        if not segments:
            del nodes[node_id]
        if not nodes:
            del self._bindings[network_id]

    def _index(self, port: Port) -> None:
        if port.binding is None:
            return
        self._bound[port.network_id][port.id] = port
        node_ports = self._carriers[port.network_id].setdefault(port.binding.node_id, {})
        self._carried[port.binding.node_id][port.network_id] = node_ports
        node_ports[port.id] = port
        link = link_on(port, port.binding.node_id)
        if link is not None:
            self._links[port.binding.node_id][port.id] = link

    def _unindex(self, port: Port) -> None:
        if port.binding is None:
            return
        node_id, network_id = port.binding.node_id, port.network_id
        carriers, carried = self._carriers[network_id], self._carried[node_id]
        del self._bound[network_id][port.id]
        del carriers[node_id][port.id]
        if not carriers[node_id]:
            del carried[network_id], carriers[node_id]
        self._links[node_id].pop(port.id, None)
        indexes = (self._bound, network_id), (self._carriers, network_id), (self._carried, node_id)
        for index, key in (*indexes, (self._links, node_id)):
            if not index[key]:
                del index[key]


def _same_to_others(before: Node, after: Node) -> bool:
    """Whether a node changed only in what concerns its own plan and bindings to it, see :data:`OWN`."""
    return replace(before, **{name: getattr(after, name) for name in OWN}) == after


def _place(port: Port | None) -> Place | None:
    if port is None or port.binding is None:
        return None
    return port.network_id, port.binding.node_id, port.binding.segment_id


def _wishes(port: Port | None) -> tuple[str, ...]:
    """Where a port that is not bound asks to be: a host name, ids of switches."""
    if port is None or port.binding is not None:
        return ()
    return (*((port.host,) if port.host else ()), *switches_of(port))
