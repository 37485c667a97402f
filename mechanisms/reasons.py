"""Why a node cannot realise a segment; the checks that every mechanism shares, in the words that the API shows."""

from __future__ import annotations

from collections.abc import Iterable

from controller.model import PHYSICAL_TYPES, TUNNEL_TYPES, Node, Segment


def obstacle(segment: Segment, node: Node) -> str | None:
    """What keeps the node from carrying the segment, None if nothing does."""
    limit = node.limits.get(segment.network_type)
    if limit:
        return f"node '{node.host}' cannot carry {segment.network_type} networks: {limit}"
    if segment.network_type in PHYSICAL_TYPES:
        return _no_uplink(segment, node)
    if segment.network_type in TUNNEL_TYPES:
        return _no_tunnel(segment, node)
    return None


def _no_uplink(segment: Segment, node: Node) -> str | None:
    if segment.physical_network in node.physical_networks:
        return _not_on_links(segment, node)
    mapped = listing(node.physical_networks) or "none"
    return f"physical network '{segment.physical_network}' is not mapped on node '{node.host}'; mapped there: {mapped}"


def _not_on_links(segment: Segment, node: Node) -> str | None:
    """Why the only way into the physical network, over links between switches, is closed to the segment."""
    first, last = node.link_tags.get(segment.physical_network or "", (0, 4094))
    tag = segment.segmentation_id or 0
    if first <= tag <= last:
        return None
    what = f"VLAN id {tag}" if tag else "the flat network (0)"
    return (
        f"links between switches carry {first} to {last} of physical network '{segment.physical_network}' "
        f"([topology] physical_networks), not {what}, and node '{node.host}' has no uplink into it"
    )


def _no_tunnel(segment: Segment, node: Node) -> str | None:
    if not node.tunnel_ip:
        return f"node '{node.host}' has no tunnel address, which {segment.network_type} networks need"
    if segment.network_type not in node.tunnel_types:
        able = listing(node.tunnel_types) or "no tunnels"
        return f"node '{node.host}' does not encapsulate {segment.network_type}; it can do {able}"
    return None


def listing(names: Iterable[str]) -> str:
    """The names in order, separated by commas."""
    return ", ".join(sorted(names))
