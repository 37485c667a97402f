"""Where tunnels lead to: the endpoints of nodes."""

from __future__ import annotations

from controller.dataplane.fields import ipv4
from controller.model import Node


def endpoint_of(node: Node) -> int | None:
    """The node's tunnel address as a number; None without one, or with IPv6, where our tunnels cannot go."""
    return None if node.tunnel_ip is None or ":" in node.tunnel_ip else ipv4(node.tunnel_ip)
