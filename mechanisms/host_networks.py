"""The part of a host plan that one agent mechanism realises; shared by all mechanisms that have an agent."""

from __future__ import annotations

from collections.abc import Iterator

from controller.intent import Intent
from controller.model import Node, Port
from legacy_agent.host_plan import HostNetwork, HostPort, RemoteAddress
from mechanisms.sources import allowed_macs, allowed_sources
from mechanisms.view import PerNetwork, SegmentView


def host_networks(
    intent: Intent, node: Node, mechanism: str, views: PerNetwork[dict[str, SegmentView]]
) -> Iterator[HostNetwork]:
    """The networks with ports of this mechanism on the node, ordered by id.

    The agent driver that shall realise them has the mechanism's name.
    """
    for network_id in sorted(intent.networks_of(node.id)):
        view = views(intent, network_id).get(node.id)
        ports = _ports_of(intent, node.id, network_id, mechanism)
        if view is not None and ports:
            yield _network(view, node, mechanism, ports)


def _ports_of(intent: Intent, node_id: str, network_id: str, mechanism: str) -> list[Port]:
    bound = intent.ports_on(node_id, network_id).values()
    mine = (port for port in bound if port.binding is not None and port.binding.mechanism == mechanism)
    return sorted(mine, key=lambda port: port.id)


def _network(view: SegmentView, node: Node, mechanism: str, ports: list[Port]) -> HostNetwork:
    live = {port.id for port in view.live[node.id]}
    tunnelled = view.segment.physical_network is None and view.segment.segmentation_id is not None
    reach = tunnelled and view.network.admin_state_up
    return HostNetwork(
        network_id=view.network.id,
        driver=mechanism,
        network_type=view.segment.network_type,
        physical_network=view.segment.physical_network,
        segmentation_id=view.segment.segmentation_id,
        mtu=view.network.mtu,
        ports=tuple(_port(port, port.id in live) for port in ports),
        peers=tuple(sorted({endpoint for endpoint, _ in _reached(view, node)})) if reach else (),
        remotes=tuple(sorted(_remotes(view, node))) if reach else (),
    )


def _remotes(view: SegmentView, node: Node) -> Iterator[RemoteAddress]:
    for endpoint, peer in _reached(view, node):
        for port in view.live[peer.id]:
            if port.mac_address in view.unique_macs:
                yield RemoteAddress(port.mac_address, endpoint)


def _reached(view: SegmentView, node: Node) -> Iterator[tuple[str, Node]]:
    """The other carriers that tunnels reach, with their endpoints."""
    for peer in view.peers(node.id):
        if peer.tunnel_ip and node.reaches(peer):
            yield peer.tunnel_ip, peer


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
