"""Plain Linux hosts: a bridge per network, wired by the legacy agent from the host plan compiled here."""

from __future__ import annotations

from collections.abc import Collection

from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from legacy_agent.host_plan import HostPlan, bridge_name
from mechanisms.api import Answer, Bound, Continue, Refused
from mechanisms.host_networks import host_networks
from mechanisms.reasons import listing, obstacle
from mechanisms.view import network_views

NETWORK_TYPES = frozenset({"local", "flat", "vlan", "gre", "vxlan"})
"""What the agent's linuxbridge driver knows how to build; whether a kernel can is among the node's limits."""


class LinuxBridgeMechanismDriver:
    """Binds ports on hosts with the linuxbridge agent driver and compiles what the agent shall build."""

    name = "linuxbridge"
    node_kind = NodeKind.HOST
    vif_type = "bridge"

    def __init__(self) -> None:
        self._views = network_views()

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:  # noqa: ARG002
        """Bound, or refused where the host has no uplink, no tunnel address or no kernel support for the segment."""
        if self.name not in node.mechanisms:
            return Continue()
        if segment.network_type not in NETWORK_TYPES:
            return Refused(f"Linux bridges carry {listing(NETWORK_TYPES)} networks, not {segment.network_type}")
        reason = obstacle(segment, node)
        if reason is not None:
            return Refused(reason)
        details = {"port_filter": True, "connectivity": "l2", "bridge_name": bridge_name(network.id)}
        return Bound(segment.id, self.vif_type, details)

    def compile(
        self,
        intent: Intent,
        node: Node,
        observation: Observation,  # noqa: ARG002
        changed_networks: Collection[str] | None = None,  # noqa: ARG002
    ) -> HostPlan:
        """The networks with linuxbridge ports on the host. What is plugged in there is the agent's to see."""
        networks = host_networks(intent, node, self.name, self._views)
        return HostPlan(node.host, intent.revision, tuple(networks))
