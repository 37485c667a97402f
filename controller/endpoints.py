"""Tunnel addresses: which can be endpoints, and which this cloud's tunnels run between."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from controller.model import TUNNEL_TYPES, NodeFacts, ip_version


def endpoint(text: str) -> str:
    """The address as it is always written. Raises ValueError, with the reason, for what cannot be an endpoint."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ValueError(f"{text.strip()!r} is no IP address") from None
    scoped = isinstance(address, ipaddress.IPv6Address) and (address.is_link_local or address.scope_id is not None)
    if address.is_multicast or address.is_unspecified or scoped:
        raise ValueError(f"{address} cannot be a tunnel's endpoint")
    return str(address)


def within_overlay(facts: NodeFacts, version: int) -> NodeFacts:
    """The facts without tunnels where the endpoint has not the IP version of all tunnels, ``[ml2]
    overlay_ip_version``: nobody else would reach it. As in Neutron."""
    if facts.tunnel_ip is None or ip_version(facts.tunnel_ip) == version:
        return facts
    reason = (
        f"its tunnel address {facts.tunnel_ip} is IPv{ip_version(facts.tunnel_ip)}, and [ml2] overlay_ip_version "
        f"of the controller is {version}"
    )
    limits = {**dict.fromkeys(sorted(TUNNEL_TYPES), reason), **facts.limits}
    return replace(facts, tunnel_types=frozenset(), limits=limits)
