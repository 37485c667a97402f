"""The part of a host plan that one agent mechanism realises; shared by all mechanisms that have an agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.intent import Intent
from controller.model import Node, Port
from legacy_agent.host_plan import HostNetwork, HostPlan, HostPort, RemoteAddress
from mechanisms.sources import allowed_macs, allowed_sources
from mechanisms.view import PerNetwork, SegmentView, views_of

Remotes = Mapping[tuple[str, str], RemoteAddress]
"""MAC address and endpoint -> the two as plans say them; in their order."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all hosts that carry a network have in common, and what was made for each of them.

    Addresses that were there before are the very objects of before, so that plans are compared quickly.
    """

    views: Mapping[str, SegmentView]
    remotes: Mapping[str, Remotes]
    """Of each segment that tunnels carry, by its id, the addresses behind all endpoints."""
    made: dict[str, tuple[Node, HostNetwork | None]] = field(default_factory=dict)


class HostNetworks:
    """Compiles the networks with ports of one agent mechanism. A network is worked out once for all hosts, and once
    more for each host that carries it, whenever something that concerns it changed."""

    def __init__(self, mechanism: str) -> None:
        """The agent driver that shall realise the networks has the mechanism's name."""
        self._mechanism = mechanism
        self._shared: PerNetwork[_Shared] = PerNetwork(_share)

    def plan(self, intent: Intent, node: Node) -> HostPlan:
        """The host's plan; networks are ordered by id."""
        networks = (self._network(intent, node, network_id) for network_id in sorted(intent.networks_of(node.id)))
        return HostPlan(node.host, intent.revision, tuple(found for found in networks if found is not None))

    def _network(self, intent: Intent, node: Node, network_id: str) -> HostNetwork | None:
        shared = self._shared(intent, network_id)
        known = shared.made.get(node.id)
        if known is None or known[0] != node:
            known = shared.made[node.id] = (node, self._make(intent, node, network_id, shared))
        return known[1]

    def _make(self, intent: Intent, node: Node, network_id: str, shared: _Shared) -> HostNetwork | None:
        view, ports = shared.views.get(node.id), self._ports(intent, node.id, network_id)
        if view is None or not ports:
            return None
        live = {port.id for port in view.live[node.id]}
        endpoints = frozenset(_endpoints(view, node)) if view.network.admin_state_up else frozenset()
        behind = shared.remotes.get(view.segment.id, {})
        return HostNetwork(
            network_id=network_id,
            driver=self._mechanism,
            network_type=view.segment.network_type,
            physical_network=view.segment.physical_network,
            segmentation_id=view.segment.segmentation_id,
            mtu=view.network.mtu,
            ports=tuple(_port(port, port.id in live) for port in ports),
            peers=tuple(sorted(endpoints)) if _is_tunnelled(view) else (),
            remotes=tuple([remote for (_, endpoint), remote in behind.items() if endpoint in endpoints]),
        )

    def _ports(self, intent: Intent, node_id: str, network_id: str) -> list[Port]:
        bound = intent.ports_on(node_id, network_id).values()
        mine = (port for port in bound if port.binding is not None and port.binding.mechanism == self._mechanism)
        return sorted(mine, key=lambda port: port.id)


def _share(intent: Intent, network_id: str, earlier: _Shared | None) -> _Shared:
    views = views_of(intent, network_id)
    known = earlier.remotes if earlier is not None else {}
    by_segment = {view.segment.id: view for view in views.values() if _is_tunnelled(view)}
    return _Shared(views, {key: _remotes(view, known.get(key, {})) for key, view in by_segment.items()})


def _remotes(view: SegmentView, known: Remotes) -> Remotes:
    pairs = {
        (port.mac_address, node.tunnel_ip)
        for node in view.carriers
        if node.tunnel_ip
        for port in view.live[node.id]
        if port.mac_address in view.unique_macs
    }
    return {pair: known.get(pair) or RemoteAddress(*pair) for pair in sorted(pairs)}


def _is_tunnelled(view: SegmentView) -> bool:
    """Also with types of others: no physical network, but an id."""
    return view.segment.physical_network is None and view.segment.segmentation_id is not None


def _endpoints(view: SegmentView, node: Node) -> set[str]:
    """The endpoints that tunnels from the node lead to; one that claims to have the node's own is none."""
    peers = (peer for peer in view.peers(node.id) if node.reaches(peer))
    return {peer.tunnel_ip for peer in peers if peer.tunnel_ip and peer.tunnel_ip != node.tunnel_ip}


def _port(port: Port, live: bool) -> HostPort:
    secure = port.port_security_enabled
    return HostPort(
        port_id=port.id,
        mac=port.mac_address,
        admin_state_up=live,
        port_security=secure,
        may_serve_dhcp=port.may_serve_dhcp,
        macs=allowed_macs(port) if secure else (),
        allowed=allowed_sources(port) if secure else (),
    )
