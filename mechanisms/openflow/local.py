"""The part of a network that is one switch's own: its ports, its uplink or tunnels, its broadcast groups."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from controller.dataplane.lazy import Content, LazyFragment, mark_of
from controller.dataplane.values import Action, Flow, Fragment, Group
from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES, Node, Port, Segment
from controller.turns import in_turns
from mechanisms.openflow import classify, deliver, fabric, flood, groups, inputs, port_security
from mechanisms.openflow.endpoints import endpoint_of
from mechanisms.openflow.here import Here
from mechanisms.openflow.logical import Logical
from mechanisms.openflow.registers import Source
from mechanisms.reuse import Reuse
from mechanisms.view import SegmentView

Plugged = tuple[tuple[Port, int], ...]
"""Live ports of a network that are plugged in here, each with its OpenFlow port."""


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
    """What a switch's own parts of all networks depend on alike; worked out once per compilation."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self._own = mark_of((inputs.node(here.node), tuple(sorted(here.uplinks.items()))), 16)
        self._trees = fabric.tree_inputs(here)

    def carries(self, segment: Segment) -> bool:
        """Whether links carry the segment."""
        return self.here.fabric is not None and fabric.carries(self.here, segment)

    def inputs(self, logical: Logical, plugged: Plugged) -> Hashable:
        """What the switch's part of a network depends on."""
        segment = logical.view.segment
        tree = self._trees.get(segment.physical_network or "") if self.carries(segment) else None
        tunnel = self.here.tunnels.get(segment.network_type)
        others = logical.reach.mark if tree is not None or tunnel is not None else None
        ports = tuple([(logical.marks[port.id][1], ofport) for port, ofport in plugged])
        return (self._own, logical.named, ports, tunnel, tree, others)


def plugged_in(view: SegmentView, here: Here) -> Plugged:
    """The live ports of the network that are plugged in here."""
    live = view.live.get(here.node.id, ())
    return tuple([(port, here.ports[port.id]) for port in live if port.id in here.ports])


def own_fragment(logical: Logical, switch: Switch, plugged: Plugged, earlier: Fragment | None) -> Fragment:
    """The switch's own part of a network: ``earlier`` if it depends on the same."""
    depends_on = switch.inputs(logical, plugged)
    if isinstance(earlier, LazyFragment) and earlier.inputs == depends_on:
        return earlier
    make = partial(_content, logical.view, switch.here, plugged)
    return LazyFragment(("network", logical.view.network.id), depends_on, make, earlier)


def _content(view: SegmentView, here: Here, plugged: Plugged, earlier: Kept | None) -> Content:
    """Flows and groups; parts whose inputs are those of ``earlier`` are its very objects."""
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
