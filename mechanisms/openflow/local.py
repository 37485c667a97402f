"""The part of a network that is one switch's own: its ports, its uplink or tunnels, its broadcast groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controller.dataplane.fields import ipv4
from controller.dataplane.values import Action, Flow, Fragment, Group
from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES, Node, Port
from controller.turns import in_turns
from mechanisms.openflow import classify, deliver, fabric, flood, groups, port_security
from mechanisms.openflow.here import Here
from mechanisms.openflow.registers import Source
from mechanisms.reuse import Reuse
from mechanisms.view import SegmentView

NOTHING: Mapping[tuple[str, str], Node] = {}


@dataclass(frozen=True)
class Surroundings:
    """How a network leaves and enters this switch. ``reached`` are the other nodes that it reaches by tunnels, by
    network type and node id."""

    flows: tuple[Flow, ...]
    groups: tuple[Group, ...]
    reached: Mapping[tuple[str, str], Node]


@dataclass(frozen=True)
class Local:
    """A network on a switch; ``fragment`` is None where none of its live ports is plugged in."""

    fragment: Fragment | None
    reached: Mapping[tuple[str, str], Node]
    ports: Reuse[tuple[Flow, ...]]
    around: Reuse[Surroundings]


def compile_local(view: SegmentView, here: Here, earlier: Local | None = None) -> Local:
    """A network on this switch; parts whose inputs are those of ``earlier`` are its very objects."""
    ports = Reuse(earlier.ports if earlier else None)
    around = Reuse(earlier.around if earlier else None)
    plugged = [(port, here.ports[port.id]) for port in view.live.get(here.node.id, ()) if port.id in here.ports]
    if not plugged and not fabric.carries(here, view.segment):
        return Local(None, NOTHING, ports.finish(), around.finish())
    flows = tuple(flow for port, ofport in in_turns(plugged) for flow in _port_flows(port, ofport, view, here, ports))
    ofports = tuple(ofport for _, ofport in plugged)
    inputs = (view.network.key, view.segment, view.carriers, ofports, here.node, here.uplinks, here.tunnels,
              fabric.inputs(here, view.segment))  # fmt: skip
    outside = around.get("around", inputs, lambda: _surroundings(view, here, ofports))
    fragment = Fragment(("network", view.network.id), flows + outside.flows, outside.groups)
    if earlier is not None and earlier.fragment == fragment:
        fragment = earlier.fragment
    return Local(fragment, outside.reached, ports.finish(), around.finish())


def _port_flows(
    port: Port, ofport: int, view: SegmentView, here: Here, ports: Reuse[tuple[Flow, ...]]
) -> tuple[Flow, ...]:
    def make() -> tuple[Flow, ...]:
        entrance = classify.local_port(port, ofport, view.network, view.segment)
        return (entrance, *port_security.flows_of(port, ofport), deliver.to_port(port, ofport, here.node))

    return ports.get(port.id, (port, ofport, view.network.key, view.segment, here.node.key), make)


def _surroundings(view: SegmentView, here: Here, ofports: tuple[int, ...]) -> Surroundings:
    if fabric.carries(here, view.segment):
        return Surroundings(*fabric.surroundings(view, here, ofports), NOTHING)
    network, entrance = view.network, _entrance(view, here)
    peers = [peer for peer in view.peers(here.node.id) if endpoint_of(peer) is not None]
    reached = {(view.segment.network_type, peer.id): peer for peer in peers} if entrance is Source.TUNNEL else {}
    inside = list(flood.to_ports(ofports))
    ways_out = list(_ways_out(view, here, entrance, peers))
    broadcast = [flood.group(network, Source.LOCAL, [*inside, *ways_out])]
    if entrance is not None:
        broadcast.append(flood.group(network, entrance, inside))
    return Surroundings(tuple(_flows(view, here, entrance)), tuple(broadcast), reached)


def endpoint_of(node: Node) -> int | None:
    """The node's tunnel address as a number; None without one, or with IPv6, where our tunnels cannot go."""
    return None if node.tunnel_ip is None or ":" in node.tunnel_ip else ipv4(node.tunnel_ip)


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
