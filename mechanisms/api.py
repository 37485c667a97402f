"""What a mechanism driver is: it binds segments on nodes and compiles plans. It never sends anything.

A driver is a class without arguments, found by the entry point group ``isthmus.mechanism_drivers``. Both methods are
pure: the same arguments give the same answer, and nothing outside changes. ``tests/conformance`` holds the suite that
every driver must pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from controller.dataplane.values import Program
from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from legacy_agent.host_plan import HostPlan

Plan = Program | HostPlan


@dataclass(frozen=True, slots=True)
class Bound:
    """The driver realises the segment on the node."""

    segment_id: str
    vif_type: str
    vif_details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Continue:
    """The driver has nothing to do with this node, port or segment; ask the next."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The driver is responsible but cannot; ``reason`` is for the operator and appears in the API."""

    reason: str


Answer = Bound | Continue | Refused


class MechanismDriver(Protocol):
    """One way to realise segments on nodes."""

    name: str
    node_kind: NodeKind
    """The kind of node it serves; it is asked about no other."""
    vif_type: str

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:
        """Can this segment be realised for this port on this node?"""

    def compile(
        self, intent: Intent, node: Node, observation: Observation, changed_networks: Collection[str] | None = None
    ) -> Plan:
        """The node's whole plan at ``intent.revision``.

        ``changed_networks`` is a hint for reuse of earlier results (None: anything may have changed); the plan is the
        same with or without it. Nodes of kind HOST may be served by several drivers at once: each returns a HostPlan
        with its own networks only, and the caller joins them.

        A plan may depend on all that the intent says of ``node``, and of other nodes on all but
        :data:`controller.intent.OWN`: what these change to there is no reason for other nodes' plans to be made anew.
        """


@runtime_checkable
class Preparing(Protocol):
    """A driver that works something out when the intent has been loaded, and keeps it. Plans do not depend on it."""

    def prepare(self, intent: Intent) -> None:
        """Called once, before any node asks for its plan."""
