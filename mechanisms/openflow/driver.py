"""The ``openflow`` mechanism: binds ports on OpenFlow switches and compiles each switch's program."""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

from controller.dataplane.values import Program
from controller.intent import Intent
from controller.model import TUNNEL_TYPES, Network, Node, NodeKind, Observation, Port, Segment
from mechanisms.api import Answer, Bound, Continue, Refused
from mechanisms.openflow.adapt import Adapter, Shortcomings
from mechanisms.openflow.features import PORT_SECURITY
from mechanisms.openflow.here import Locator
from mechanisms.openflow.logical import LogicalNetworks
from mechanisms.openflow.program import Compiled, ProgramCompiler
from mechanisms.openflow.registers import NICIRA, Transport
from mechanisms.reasons import listing, obstacle
from mechanisms.view import network_views

NETWORK_TYPES = frozenset(transport.name.lower() for transport in Transport)


class OpenFlowMechanismDriver:
    """Ports on switches that the controller programs."""

    name = "openflow"
    node_kind = NodeKind.SWITCH
    vif_type = "ovs"

    def __init__(self) -> None:
        views = network_views()
        self._compiler = ProgramCompiler(views, LogicalNetworks(views))
        self._switches: WeakKeyDictionary[Intent, dict[str, _Switch]] = WeakKeyDictionary()

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:  # noqa: ARG002
        """Bound, or refused where the switch lacks an uplink, a tunnel address or the fields that tunnels need."""
        if self.name not in node.mechanisms:
            return Continue()
        if segment.network_type not in NETWORK_TYPES:
            return Refused(f"OpenFlow switches carry {listing(NETWORK_TYPES)} networks, not {segment.network_type}")
        reason = obstacle(segment, node) or _no_endpoint_fields(segment, node) or _no_port_security(port, node)
        if reason is not None:
            return Refused(reason)
        return Bound(segment.id, self.vif_type, {"port_filter": True, "connectivity": "l2"})

    def compile(
        self,
        intent: Intent,
        node: Node,
        observation: Observation,
        changed_networks: Collection[str] | None = None,  # noqa: ARG002
    ) -> Program:
        """The switch's program. Unchanged fragments are the objects of its last one; what changed is known by the
        versions of networks, so the hint is not needed."""
        switches = self._switches.setdefault(intent, {})
        switch = switches.get(node.id)
        if switch is None:
            switch = switches[node.id] = _Switch()
            _forget(switches, intent)
        here = switch.locate(node, observation)
        switch.last = self._compiler.compile(intent, here, switch.last)
        lacking = Shortcomings.of(node) if node.limits else None
        if not lacking:
            return switch.last.program
        switch.adapter = switch.adapter or Adapter()
        return switch.adapter.adapt(switch.last.program, lacking)

    def prepare(self, intent: Intent) -> None:
        """Work out what programs have in common."""
        self._compiler.prepare(intent)


class _Switch:
    """What is remembered of a switch."""

    __slots__ = ("adapter", "last", "locate")

    def __init__(self) -> None:
        self.locate = Locator()
        self.adapter: Adapter | None = None
        self.last: Compiled | None = None


def _forget(switches: dict[str, _Switch], intent: Intent) -> None:
    """Drop those that no longer exist, now and then, so that memory follows the number of nodes."""
    if len(switches) > len(intent.nodes) + 16:
        for gone in switches.keys() - intent.nodes.keys():
            del switches[gone]


def _no_port_security(port: Port, node: Node) -> str | None:
    if not port.port_security_enabled or PORT_SECURITY not in node.limits:
        return None
    return (
        f"node '{node.host}' cannot check what ports send: {node.limits[PORT_SECURITY]}; set port_security_enabled "
        "to false for ports that are trusted"
    )


def _no_endpoint_fields(segment: Segment, node: Node) -> str | None:
    if segment.network_type not in TUNNEL_TYPES:
        return None
    if NICIRA not in node.capabilities:
        return f"node '{node.host}' cannot choose the remote end of a tunnel by flow (it lacks Open vSwitch's fields)"
    return None
