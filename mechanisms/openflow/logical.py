"""The location-free part of a network: the same fragment, the same object even, on every switch that carries it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from controller.dataplane import fields
from controller.dataplane.lazy import Content, LazyFragment, mark_of
from controller.dataplane.values import Flow, Fragment
from controller.intent import Intent
from controller.model import Network, Node, Port
from controller.turns import in_turns
from mechanisms.openflow import arp_responder, inputs, l2_lookup
from mechanisms.openflow.endpoints import endpoint_of
from mechanisms.reuse import Reuse
from mechanisms.view import PerNetwork, SegmentView

PortFlows = tuple[tuple[Flow, ...], tuple[Flow, ...]]
"""Of one port: flows of ``l2_lookup``, flows of ``arp_responder``."""

Marks = Mapping[str, tuple[Port, int]]
"""Port id -> the port and the hash of what matters of it."""


_MAC = fields.named("eth_dst")


class Parts(NamedTuple):
    """The flows of both fragments, and what they were made of."""

    lookup: tuple[Flow, ...]
    answers: tuple[Flow, ...]
    made: Reuse[PortFlows]


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
                self._parts = compile_logical(self._view, earlier.made if earlier is not None else None)
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


@dataclass(frozen=True)
class Logical:
    """A network by one segment: ``lookup`` for every switch, ``answers`` for those that can rewrite ARP.

    ``marks`` are the hashes of its live ports.
    """

    view: SegmentView
    reach: Reach
    marks: Marks
    making: Making
    lookup: LazyFragment
    answers: LazyFragment

    def fragments(self, rewrites_arp: bool) -> Iterator[Fragment]:
        """What a switch carries."""
        yield self.lookup
        if rewrites_arp and self.view.network.arp_responder:
            yield self.answers

    def prepare(self) -> tuple[int, ...]:
        """Work out the hashes that programs are recognised by."""
        return self.named, self.reach.mark, self.lookup.mark, self.answers.mark

    @cached_property
    def named(self) -> int:
        """A hash of what every switch's own part of the network depends on."""
        return mark_of((inputs.network(self.view.network), inputs.segment(self.view.segment)), 16)


class LogicalNetworks:
    """The location-free part of networks; remembers it, and every port's flows, while nothing changed."""

    def __init__(self, views: PerNetwork[dict[str, SegmentView]]) -> None:
        self._views = views
        self._known: PerNetwork[dict[str, Logical]] = PerNetwork(self._of_network)

    def of(self, intent: Intent, view: SegmentView) -> Logical:
        """The logical part of the view's network by the view's segment."""
        return self._known(intent, view.network.id).get(view.segment.id) or logical(view)

    def _of_network(self, intent: Intent, network_id: str, earlier: dict[str, Logical] | None) -> dict[str, Logical]:
        views = {view.segment.id: view for view in self._views(intent, network_id).values()}
        return {key: logical(view, (earlier or {}).get(key)) for key, view in views.items()}


def logical(view: SegmentView, earlier: Logical | None = None) -> Logical:
    """The logical part of a network; the fragments of ``earlier`` if they depend on the same."""
    reach = Reach(view.segment.network_type, view.carriers)
    if earlier is not None and earlier.reach == reach:
        reach = earlier.reach
    marks = _marks(view, earlier.marks if earlier is not None else {})
    keys = tuple([(node.id, node.key) for node in view.carriers])
    every = b"".join([mark.to_bytes(16, "big") for _, mark in marks.values()])
    of = (inputs.network(view.network), inputs.segment(view.segment), keys, mark_of(every, 16))
    if earlier is not None and earlier.lookup.inputs == of:
        return Logical(view, reach, marks, earlier.making, earlier.lookup, earlier.answers)
    making, network_id = Making(view, earlier.making if earlier is not None else None), view.network.id
    lookup = LazyFragment(("lookup", network_id), of, lambda _: Content(making.parts().lookup))
    answers = LazyFragment(("answers", network_id), of, lambda _: Content(making.parts().answers))
    return Logical(view, reach, marks, making, lookup, answers)


def _marks(view: SegmentView, earlier: Marks) -> Marks:
    """Of all live ports in the order of their ids; only ports that changed are hashed."""
    marks: dict[str, tuple[Port, int]] = {}
    for port in in_turns(view.ports):
        known = earlier.get(port.id)
        marks[port.id] = known if known is not None and known[0] is port else (port, inputs.port_mark(port))
    return marks


def compile_logical(view: SegmentView, earlier: Reuse[PortFlows] | None = None) -> Parts:
    """The flows of a network; those of ports that are as they were ``earlier`` are its very objects."""
    round_ = Reuse(earlier)
    keys = {node.id: node.key for node in view.carriers}
    parts = [_port_flows(port, view, keys, round_) for port in in_turns(view.ports)]
    lookup = tuple([flow for known, _ in parts for flow in known])
    answers = tuple([flow for _, answered in parts for flow in answered])
    return Parts(lookup, answers, round_.finish())


def _port_flows(port: Port, view: SegmentView, keys: dict[str, int], round_: Reuse[PortFlows]) -> PortFlows:
    network = view.network
    node_key = keys[port.binding.node_id] if port.binding else 0
    known = port.mac_address in view.unique_macs
    addresses = tuple(_answered(port, view)) if network.arp_responder else ()
    inputs = (port, node_key, network.key, known, addresses)
    return round_.get(port.id, inputs, lambda: _make(port, network, node_key, known, addresses))


def _make(port: Port, network: Network, node_key: int, known: bool, addresses: tuple[str, ...]) -> PortFlows:
    mac = _MAC.parse(port.mac_address)
    lookup = (l2_lookup.known_mac(port, mac, network, node_key),) if known else ()
    answers = [flow for address in addresses for flow in arp_responder.answers(port, mac, network, address)]
    return lookup, tuple(answers)


def _answered(port: Port, view: SegmentView) -> list[str]:
    """Its IPv4 addresses that no other port has."""
    return [address for address in port.fixed_ips if address in view.unique_addresses and ":" not in address]
