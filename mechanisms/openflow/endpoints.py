"""Where tunnels lead to: the endpoints of nodes."""

from __future__ import annotations

from typing import NamedTuple

from controller.dataplane.fields import ipv4, ipv6
from controller.model import Node, ip_version


class Endpoint(NamedTuple):
    """A tunnel address as flows say it: ``field`` is the one that takes it."""

    field: str
    value: int


def endpoint_of(node: Node) -> Endpoint | None:
    """The node's endpoint; None without a tunnel address."""
    if node.tunnel_ip is None:
        return None
    if ip_version(node.tunnel_ip) == 6:
        return Endpoint("tun_ipv6_dst", ipv6(node.tunnel_ip))
    return Endpoint("tun_ipv4_dst", ipv4(node.tunnel_ip))
