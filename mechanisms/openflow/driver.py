"""The ``openflow`` mechanism: binds ports on OpenFlow switches and compiles each switch's program."""

from __future__ import annotations

from collections import defaultdict
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
        self._last: WeakKeyDictionary[Intent, dict[str, Compiled]] = WeakKeyDictionary()
        self._adapters: WeakKeyDictionary[Intent, dict[str, Adapter]] = WeakKeyDictionary()
        self._locators: defaultdict[str, Locator] = defaultdict(Locator)

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
        last = self._last.setdefault(intent, {})
        here = self._locators[node.id](node, observation)
        compiled = self._compiler.compile(intent, here, last.get(node.id))
        last[node.id], program = compiled, compiled.program
        lacking = Shortcomings.of(node)
        adapters = self._adapters.setdefault(intent, {})
        if lacking:
            program = adapters.setdefault(node.id, Adapter()).adapt(program, lacking)
        if len(last) > len(intent.nodes) + 16:
            for gone in last.keys() - intent.nodes.keys():
                del last[gone]
                self._locators.pop(gone, None)
                adapters.pop(gone, None)
        return program

    def prepare(self, intent: Intent) -> None:
        """Work out what programs have in common."""
        self._compiler.prepare(intent)


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
