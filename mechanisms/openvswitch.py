"""Hosts that run Open vSwitch and are wired by the legacy agent.

Not to be confused with ``openflow``: there the controller writes the flows and no agent is needed. Here the agent
does, so that a host is served whose Open vSwitch must not (or cannot) be reached by a controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.model import Network, Node
from mechanisms.agent import AgentMechanismDriver

INTEGRATION_BRIDGE = "isthmus-int"
"""Where VMs are plugged in on a host whose agent does not say."""


class OpenVSwitchMechanismDriver(AgentMechanismDriver):
    """Ports on hosts with the agent driver ``openvswitch``."""

    name = "openvswitch"
    vif_type = "ovs"
    network_types = frozenset({"local", "flat", "vlan", "gre", "vxlan", "geneve"})
    carry = "Open vSwitch carries"

    def vif_details(self, network: Network, node: Node) -> Mapping[str, Any]:  # noqa: ARG002
        """What Nova's os-vif needs to plug a VM into the bridge directly, without a bridge of its own in between."""
        usual = {"ovs_hybrid_plug": False, "datapath_type": "system", "bridge_name": INTEGRATION_BRIDGE}
        return {**usual, **node.vif_details.get(self.name, {})}
