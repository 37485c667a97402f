"""Hosts that run Open vSwitch and are wired by the legacy agent, from the host plan compiled here.

Not to be confused with ``openflow``: there the controller writes the flows and no agent is needed. Here the agent
does, so that a host is served whose Open vSwitch must not (or cannot) be reached by a controller.
"""

from __future__ import annotations

from collections.abc import Collection

from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from legacy_agent.host_plan import HostPlan
from mechanisms.api import Answer, Bound, Continue, Refused
from mechanisms.host_networks import host_networks
from mechanisms.reasons import listing, obstacle
from mechanisms.view import network_views

NETWORK_TYPES = frozenset({"local", "flat", "vlan", "gre", "vxlan", "geneve"})
"""What the agent's openvswitch driver knows how to build; whether a host can is among the node's limits."""

INTEGRATION_BRIDGE = "isthmus-int"
"""Where VMs are plugged in on a host whose agent does not say."""


class OpenVSwitchMechanismDriver:
    """Binds ports on hosts with the openvswitch agent driver and compiles what the agent shall build."""

    name = "openvswitch"
    node_kind = NodeKind.HOST
    vif_type = "ovs"

    def __init__(self) -> None:
        self._views = network_views()

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:  # noqa: ARG002
        """Bound, or refused where the host has no uplink, no tunnel address or no Open vSwitch for the segment.

        The details are what Nova's os-vif needs to plug a VM into the bridge directly, without a bridge of its own in
        between.
        """
        if self.name not in node.mechanisms:
            return Continue()
        if segment.network_type not in NETWORK_TYPES:
            return Refused(f"Open vSwitch carries {listing(NETWORK_TYPES)} networks, not {segment.network_type}")
        reason = obstacle(segment, node)
        if reason is not None:
            return Refused(reason)
        details = {"port_filter": True, "connectivity": "l2", "ovs_hybrid_plug": False, "datapath_type": "system",
                   "bridge_name": INTEGRATION_BRIDGE}  # fmt: skip
        return Bound(segment.id, self.vif_type, {**details, **node.vif_details.get(self.name, {})})

    def compile(
        self,
        intent: Intent,
        node: Node,
        observation: Observation,  # noqa: ARG002
        changed_networks: Collection[str] | None = None,  # noqa: ARG002
    ) -> HostPlan:
        """The networks with openvswitch ports on the host. What is plugged in there is the agent's to see."""
        networks = host_networks(intent, node, self.name, self._views)
        return HostPlan(node.host, intent.revision, tuple(networks))
