"""The part of a network that is one switch's own: its ports, its uplink or tunnels, its broadcast groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from struct import Struct
from typing import NamedTuple

from controller.dataplane.lazy import Content, LazyFragment, Listed, digest_of, mark_in
from controller.dataplane.values import Action, Flow, Fragment, Group
from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES, Node, Port, Segment
from controller.turns import in_turns
from mechanisms.openflow import classify, deliver, fabric, flood, groups, inputs, port_security
from mechanisms.openflow.endpoints import endpoint_of
from mechanisms.openflow.here import Here
from mechanisms.openflow.logical import Found, Logical, Reach
from mechanisms.openflow.registers import Source
from mechanisms.reuse import Reuse
from mechanisms.view import SegmentView

_OFPORT = Struct("!I").pack

_ALONE = digest_of(None)
"""Stands for the surroundings of a network that has neither links nor a tunnel here."""


@dataclass(frozen=True)
class Surroundings:
    """How a network leaves and enters this switch."""

    flows: tuple[Flow, ...]
    groups: tuple[Group, ...]


class Kept(NamedTuple):
    """What the next fragment of the same network may take over."""

    ports: Reuse[tuple[Flow, ...]]
    around: Reuse[Surroundings]


class Switch:
    """What a switch's own parts of all networks depend on alike, worked out once as long as nothing else is plugged
    into it; and itself the part of the program that there is whatever the networks.

    ``named`` is a hash of what these parts depend on. The fragments are those of an ``earlier`` one if they depend on
    the same.
    """

    __slots__ = ("_listed", "_node_id", "_ofports", "_rewrites_arp", "_secluded", "_trees", "here", "named")

    def __init__(self, here: Here, earlier: Switch | None = None) -> None:
        self.here, self._node_id, self._ofports = here, here.node.id, here.ports
        self.named = digest_of((inputs.node(here.node), tuple(sorted(here.uplinks.items()))))
        self._rewrites_arp = inputs.rewrites_arp(here.node)
        self._trees = fabric.tree_inputs(here)
        self._secluded = not self._trees and not here.tunnels
        self._listed = earlier.fragments if earlier is not None and earlier.named == self.named else None

    @property
    def mark(self) -> int:
        """A part of the hash that is there anyway."""
        return int.from_bytes(self.named[:8], "big")

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """What follows from the switch and its uplinks alone."""
        if self._listed is None:
            self._listed = (LazyFragment(("switch",), self.named, partial(_of_itself, self.here), mark=self.mark),)
        return self._listed

    def inputs(self, logical: Logical) -> bytes:
        """What the switch's own part of a network depends on: hashes of 16 bytes of the switch, the network and its
        surroundings, and of each live port that is plugged in here, with its OpenFlow port. Empty if there is no such
        part, as there is no such port and links do not carry the network."""
        ofports = self._ofports
        of = [self.named, logical.named, _ALONE if self._secluded else self._outside(logical)]
        for port_id, mark in logical.marks.get(self._node_id, ()):
            if port_id in ofports:
                of += mark, _OFPORT(ofports[port_id])
        return b"".join(of) if len(of) > 3 or self._carries(logical.view.segment) else b""

    def _outside(self, logical: Logical) -> bytes:
        segment = logical.view.segment
        tree = self._trees.get(segment.physical_network or "") if self._carries(segment) else None
        tunnel = self.here.tunnels.get(segment.network_type)
        return _ALONE if tree is None and tunnel is None else digest_of((tunnel, tree, logical.reach.mark))

    def _carries(self, segment: Segment) -> bool:
        """Whether links carry the segment."""
        return bool(self._trees) and fabric.carries(self.here, segment)

    def shared(self, logical: Logical) -> Listed:
        """What it has of a network like other switches; no answers where the network only passes through."""
        answers = self._rewrites_arp and self._node_id in logical.marks
        return logical.where_arp_is_rewritten if answers else logical.everywhere


class Carried:
    """What a switch has of a network: what it shares with others, and what is its own.

    Good as long as the very same is ``found`` of the network, and nothing else on the switch changed. The mark is
    there at once. Fragments are listed for those who ask, from values as they were: of a switch that comes back
    unchanged hardly anybody does, and a thousand of them have ten thousand networks.
    """

    __slots__ = ("_listed", "_switch", "found", "logical", "mark")

    def __init__(self, found: Found, switch: Switch, logical: Logical, depends_on: bytes) -> None:
        self.found, self._switch, self.logical = found, switch, logical
        self.mark = switch.shared(logical).mark ^ mark_in(depends_on)
        self._listed: tuple[Fragment, ...] | None = None

    @property
    def reach(self) -> Reach | None:
        """The nodes that its tunnels lead to."""
        return self.logical.tunnelled

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """All of them."""
        return self._listed if self._listed is not None else self.list_after(None)

    def list_after(self, earlier: Fragment | None) -> tuple[Fragment, ...]:
        """The fragments, with the switch's own part in the place of an ``earlier`` one: that itself, if it depends on
        the same."""
        switch, logical = self._switch, self.logical
        depends_on = switch.inputs(logical)
        if isinstance(earlier, LazyFragment) and earlier.inputs == depends_on:
            own = earlier
        else:
            make = partial(_content, logical.view, switch.here)
            own = LazyFragment(logical.own_key, depends_on, make, earlier, mark=mark_in(depends_on))
        self._listed = (*switch.shared(logical).fragments, own)
        return self._listed


class Nothing:
    """What a switch has of a network that it does not carry at present."""

    __slots__ = ("found",)
    mark = 0
    fragments: tuple[Fragment, ...] = ()
    reach = None

    def __init__(self, found: Found) -> None:
        self.found = found


def _of_itself(here: Here, _: object) -> Content:
    ids = groups.uplink_ids(here.uplinks)
    next_hops = [groups.uplink_next_hop(ids[name], ofport, f"physical network {name}")
                 for name, ofport in sorted(here.uplinks.items())]  # fmt: skip
    return Content((deliver.absent(here.node),), tuple(next_hops))


def _content(view: SegmentView, here: Here, earlier: Kept | None) -> Content:
    """Flows and groups; parts whose inputs are those of ``earlier`` are its very objects."""
    live = view.live.get(here.node.id, ())
    plugged = [(port, here.ports[port.id]) for port in live if port.id in here.ports]
    ports = Reuse(earlier.ports if earlier is not None else None)
    around = Reuse(earlier.around if earlier is not None else None)
    flows = tuple(
        [flow for port, ofport in in_turns(plugged) for flow in _port_flows(port, ofport, view, here, ports)]
    )
    ofports = tuple([ofport for _, ofport in plugged])
    inputs = (view.network.key, view.segment, view.carriers, ofports, here.node, here.uplinks, here.tunnels,
              fabric.inputs(here, view.segment))  # fmt: skip
    outside = around.get("around", inputs, lambda: _surroundings(view, here, ofports))
    return Content(flows + outside.flows, outside.groups, Kept(ports.finish(), around.finish()))


def _port_flows(
    port: Port, ofport: int, view: SegmentView, here: Here, ports: Reuse[tuple[Flow, ...]]
) -> tuple[Flow, ...]:
    def make() -> tuple[Flow, ...]:
        entrance = classify.local_port(port, ofport, view.network, view.segment)
        return (entrance, *port_security.flows_of(port, ofport), deliver.to_port(port, ofport, here.node))

    return ports.get(port.id, (port, ofport, view.network.key, view.segment, here.node.key), make)


def _surroundings(view: SegmentView, here: Here, ofports: tuple[int, ...]) -> Surroundings:
    if fabric.carries(here, view.segment):
        return Surroundings(*fabric.surroundings(view, here, ofports))
    network, entrance = view.network, _entrance(view, here)
    peers = [peer for peer in view.peers(here.node.id) if here.node.reaches(peer)]
    inside = list(flood.to_ports(ofports))
    ways_out = list(_ways_out(view, here, entrance, peers))
    broadcast = [flood.group(network, Source.LOCAL, [*inside, *ways_out])]
    if entrance is not None:
        broadcast.append(flood.group(network, entrance, inside))
    return Surroundings(tuple(_flows(view, here, entrance)), tuple(broadcast))


def _entrance(view: SegmentView, here: Here) -> Source | None:
    """The class of what comes in from outside, None if the network has no outside here."""
    segment = view.segment
    if segment.network_type in PHYSICAL_TYPES and segment.physical_network in here.uplinks:
        return Source.UPLINK
    if segment.network_type in TUNNEL_TYPES and segment.network_type in here.tunnels:
        return Source.TUNNEL
    return None


def _flows(view: SegmentView, here: Here, entrance: Source | None) -> Iterator[Flow]:
    network, segment = view.network, view.segment
    yield flood.to_group(network, Source.LOCAL)
    if entrance is None:
        return
    yield flood.to_group(network, entrance)
    if entrance is Source.TUNNEL:
        yield classify.tunnel(here.tunnels[segment.network_type], network, segment)
    elif segment.physical_network is not None:
        yield classify.uplink(here.uplinks[segment.physical_network], network, segment)
        yield deliver.to_uplink(network, segment, groups.uplink_ids(here.uplinks)[segment.physical_network])


def _ways_out(
    view: SegmentView, here: Here, entrance: Source | None, peers: list[Node]
) -> Iterator[tuple[Action, ...]]:
    segment = view.segment
    if entrance is Source.UPLINK and segment.physical_network is not None:
        yield flood.to_uplink(here.uplinks[segment.physical_network], segment)
    if entrance is Source.TUNNEL:
        own = endpoint_of(here.node)
        endpoints = {endpoint_of(peer) for peer in peers} - {None, own}
        for endpoint in sorted(endpoint for endpoint in endpoints if endpoint is not None):
            yield groups.to_endpoint(here.tunnels[segment.network_type], endpoint)
