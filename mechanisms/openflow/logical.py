"""The location-free part of a network: the same fragment, the same object even, on every switch that carries it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from controller.dataplane import fields
from controller.dataplane.lazy import Content, LazyFragment, Listed, digest_of, mark_of
from controller.dataplane.values import Flow
from controller.intent import Intent
from controller.model import TUNNEL_TYPES, Node, Port
from controller.turns import give_way
from mechanisms.openflow import arp_responder, inputs, l2_lookup
from mechanisms.openflow.endpoints import endpoint_of
from mechanisms.view import PerNetwork, SegmentView

PortFlows = tuple[tuple[Flow, ...], tuple[Flow, ...]]
"""Of one port: flows of ``l2_lookup``, flows of ``arp_responder``."""

Marks = Mapping[str, tuple[tuple[str, bytes], ...]]
"""Node id -> id and hash of what matters, of each of its live ports in their order."""


_MAC = fields.named("eth_dst")


class Basis(NamedTuple):
    """What flows of ports depend on besides their port: keys of the network and of nodes, whether ARP is answered, and
    which MACs and addresses are one port's alone."""

    network: int
    answers: bool
    nodes: Mapping[str, int]
    macs: frozenset[str]
    addresses: frozenset[str]

    @classmethod
    def of(cls, view: SegmentView) -> Basis:
        """That of a network as it is."""
        nodes = {node.id: node.key for node in view.carriers}
        return cls(view.network.key, view.network.arp_responder, nodes, view.unique_macs, view.unique_addresses)

    def like(self, earlier: Basis) -> bool:
        """Whether nothing but MACs and addresses is another, as far as both know."""
        same = (self.network, self.answers) == (earlier.network, earlier.answers)
        return same and all(earlier.nodes.get(node_id, key) == key for node_id, key in self.nodes.items())


class Parts(NamedTuple):
    """The flows of both fragments, of each port, and what they were made from."""

    lookup: tuple[Flow, ...]
    answers: tuple[Flow, ...]
    ports: Mapping[str, tuple[Port, PortFlows]]
    basis: Basis


class Making:
    """Makes both fragments at once, when one of them is looked into; a thread that comes meanwhile waits."""

    def __init__(self, view: SegmentView, earlier: Making | None) -> None:
        self._view = view
        self._earlier: Making | None = (earlier._earlier or earlier) if earlier is not None else None
        self._parts: Parts | None = None
        self._lock = threading.Lock()

    def parts(self) -> Parts:
        """The flows."""
        with self._lock:
            if self._parts is None:
                earlier = self._earlier._parts if self._earlier is not None else None
                self._parts = compile_logical(self._view, earlier)
                self._earlier = None
            return self._parts


@dataclass(frozen=True)
class Reach:
    """The nodes that carry a network by one segment, and what follows from them alone. The same object as long as they
    are the same, whatever ports do."""

    network_type: str
    nodes: tuple[Node, ...]

    @cached_property
    def inputs(self) -> tuple[Hashable, ...]:
        """What matters of each node."""
        return tuple([inputs.node(node) for node in self.nodes])

    @cached_property
    def mark(self) -> int:
        """A hash of what matters of the nodes."""
        return mark_of(self.inputs)

    @cached_property
    def endpoints(self) -> Mapping[tuple[str, str], tuple[Node, Hashable]]:
        """The nodes that tunnels reach and what matters of them, by network type and node id."""
        nodes = zip(self.nodes, self.inputs, strict=True)
        return {(self.network_type, node.id): (node, matters) for node, matters in nodes if endpoint_of(node)}


@dataclass(frozen=True, eq=False, slots=True)
class Logical:
    """A network by one segment: ``lookup`` for every switch, ``answers`` for those that can rewrite ARP.

    ``marks`` are the hashes of its live ports; ``named`` is one of what every switch's own part of the network depends
    on. ``everywhere`` is what every switch has of the network, ``where_arp_is_rewritten`` what one has that can answer
    ARP by itself. All this is worked out once, as each switch that carries the network looks at it.
    """

    view: SegmentView
    reach: Reach
    marks: Marks
    making: Making
    lookup: LazyFragment
    answers: LazyFragment
    named: bytes
    everywhere: Listed
    where_arp_is_rewritten: Listed

    @property
    def own_key(self) -> tuple[str, str]:
        """The key of fragments that are a switch's own part of the network."""
        return ("network", self.view.network.id)

    @property
    def tunnelled(self) -> Reach | None:
        """The nodes that it is tunnelled to; None where it is not."""
        return self.reach if self.view.segment.network_type in TUNNEL_TYPES else None


Found = Mapping[str, Logical]
"""Node id -> the network as that node carries it, for every node that does; by the same segment it is the same object.
It is another mapping whenever anything that concerns the network changed."""


class LogicalNetworks:
    """The location-free part of networks; remembers it, and every port's flows, while nothing changed."""

    def __init__(self, views: PerNetwork[dict[str, SegmentView]]) -> None:
        self._views = views
        self.of: PerNetwork[Found] = PerNetwork(self._of_network)

    def _of_network(self, intent: Intent, network_id: str, earlier: Found | None) -> Found:
        give_way()
        before = {each.view.segment.id: each for each in (earlier or {}).values()}
        views, found = self._views(intent, network_id), dict[str, Logical]()
        for view in {id(view): view for view in views.values()}.values():
            each = logical_of(view, before.get(view.segment.id))
            found.update({node.id: each for node in view.carriers})
        return found


def logical_of(view: SegmentView, earlier: Logical | None = None) -> Logical:
    """The logical part of a network; the fragments of ``earlier`` if they depend on the same."""
    reach = Reach(view.segment.network_type, view.carriers)
    if earlier is not None and earlier.reach == reach:
        reach = earlier.reach
    marks = _marks(view, earlier)
    keys = tuple([(node.id, node.key) for node in view.carriers])
    every = b"".join([mark for node in view.carriers for _, mark in marks[node.id]])
    name = (inputs.network(view.network), inputs.segment(view.segment))
    of = (*name, keys, digest_of(every))
    if earlier is not None and earlier.lookup.inputs == of:
        return replace(earlier, view=view, reach=reach, marks=marks)
    making, network_id = Making(view, earlier.making if earlier is not None else None), view.network.id
    lookup = LazyFragment(("lookup", network_id), of, lambda _: Content(making.parts().lookup))
    answers = LazyFragment(("answers", network_id), of, lambda _: Content(making.parts().answers))
    everywhere = Listed.of(lookup)
    rewriting = Listed.of(lookup, answers) if view.network.arp_responder else everywhere
    return Logical(view, reach, marks, making, lookup, answers, digest_of(name), everywhere, rewriting)


def _marks(view: SegmentView, earlier: Logical | None) -> Marks:
    """Of all live ports; only ports that changed are hashed."""
    marks: dict[str, tuple[tuple[str, bytes], ...]] = {}
    for node_id, ports in view.live.items():
        known: dict[int, tuple[str, bytes]] = {}
        if earlier is not None and node_id in earlier.marks:
            known = dict(zip(map(id, earlier.view.live[node_id]), earlier.marks[node_id], strict=True))
        marks[node_id] = tuple([known.get(id(port)) or _marked(port) for port in ports])
    return marks


def _marked(port: Port) -> tuple[str, bytes]:
    give_way()
    return port.id, inputs.port_mark(port)


def compile_logical(view: SegmentView, earlier: Parts | None = None) -> Parts:
    """The flows of a network; those of ports that are as they were ``earlier`` are its very objects."""
    basis = Basis.of(view)
    kept = _kept(basis, earlier) if earlier is not None else {}
    ports: dict[str, tuple[Port, PortFlows]] = {}
    for port in view.ports:
        known = kept.get(port.id)
        if known is None or known[0] is not port:
            give_way()
            known = (port, _port_flows(port, basis))
        ports[port.id] = known
    lookup = tuple([flow for _, (found, _answers) in ports.values() for flow in found])
    answers = tuple([flow for _, (_lookup, answered) in ports.values() for flow in answered])
    return Parts(lookup, answers, ports, basis)


def _kept(basis: Basis, earlier: Parts) -> Mapping[str, tuple[Port, PortFlows]]:
    """What was made of ports for which nothing but themselves may have changed."""
    if not basis.like(earlier.basis):
        return {}
    macs, addresses = basis.macs ^ earlier.basis.macs, basis.addresses ^ earlier.basis.addresses
    if not macs and not addresses:
        return earlier.ports
    return {key: known for key, known in earlier.ports.items()
            if known[0].mac_address not in macs and addresses.isdisjoint(known[0].fixed_ips)}  # fmt: skip


def _port_flows(port: Port, basis: Basis) -> PortFlows:
    node_key = basis.nodes[port.binding.node_id] if port.binding else 0
    mac = _MAC.parse(port.mac_address)
    known = port.mac_address in basis.macs
    lookup = (l2_lookup.known_mac(port, mac, basis.network, node_key),) if known else ()
    answers = [flow for address in _answered(port, basis)
               for flow in arp_responder.answers(port, mac, basis.network, address)]  # fmt: skip
    return lookup, tuple(answers)


def _answered(port: Port, basis: Basis) -> list[str]:
    """Its IPv4 addresses that no other port has, where they are answered for."""
    if not basis.answers:
        return []
    return [address for address in port.fixed_ips if address in basis.addresses and ":" not in address]
