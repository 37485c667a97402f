"""What the mechanisms have in common that are realised by a driver of the legacy agent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from legacy_agent.host_plan import HostPlan
from mechanisms.api import Answer, Bound, Continue, Refused
from mechanisms.host_networks import HostNetworks
from mechanisms.reasons import listing, obstacle


class AgentMechanismDriver:
    """Binds ports on hosts with the agent driver of the same name, and compiles what that shall build. A subclass says
    its name, its vif type, which network types it carries, and the details that go with a binding."""

    name: str
    node_kind = NodeKind.HOST
    vif_type: str
    network_types: frozenset[str]
    """What the agent driver knows how to build; whether a host can is among the node's limits."""
    carry: str
    """How a refusal of another type begins, e.g. ``Linux bridges carry``."""

    def __init__(self) -> None:
        self._networks = HostNetworks(self.name)

    def vif_details(self, network: Network, node: Node) -> Mapping[str, Any]:
        """What ``binding:vif_details`` says besides what every port has."""
        raise NotImplementedError

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:  # noqa: ARG002
        """Bound, or refused where the host has no uplink, no tunnel address or is not able for another reason."""
        if self.name not in node.mechanisms:
            return Continue()
        if segment.network_type not in self.network_types:
            return Refused(f"{self.carry} {listing(self.network_types)} networks, not {segment.network_type}")
        reason = obstacle(segment, node)
        if reason is not None:
            return Refused(reason)
        common = {"port_filter": True, "connectivity": "l2"}
        return Bound(segment.id, self.vif_type, {**common, **self.vif_details(network, node)})

    def compile(
        self,
        intent: Intent,
        node: Node,
        observation: Observation,  # noqa: ARG002
        changed_networks: Collection[str] | None = None,  # noqa: ARG002
    ) -> HostPlan:
        """The networks with ports of this mechanism on the host. What is plugged in there is the agent's to see."""
        return self._networks.plan(intent, node)
