"""Plain Linux hosts: a bridge per network, wired by the legacy agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.model import Network, Node
from legacy_agent.host_plan import bridge_name
from mechanisms.agent import AgentMechanismDriver


class LinuxBridgeMechanismDriver(AgentMechanismDriver):
    """Ports on hosts with the agent driver ``linuxbridge``."""

    name = "linuxbridge"
    vif_type = "bridge"
    network_types = frozenset({"local", "flat", "vlan", "gre", "vxlan"})
    carry = "Linux bridges carry"

    def vif_details(self, network: Network, node: Node) -> Mapping[str, Any]:  # noqa: ARG002
        """The bridge that a VM is plugged into."""
        return {"bridge_name": bridge_name(network.id)}
