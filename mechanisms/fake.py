"""A mechanism that realises nothing: slow, failing or partial on demand, for tests of everything around mechanisms."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from controller.dataplane.values import Program
from controller.errors import IsthmusError
from controller.intent import Intent
from controller.model import Network, Node, NodeKind, Observation, Port, Segment
from mechanisms.api import Answer, Bound, Continue, Plan, Refused
from mechanisms.host_networks import HostNetworks


class FakeFailure(IsthmusError):
    """The failure that a test asked for."""


@dataclass
class FakeMechanismDriver:
    """Binds everything on nodes that list it, unless told otherwise.

    ``delay`` is slept before every answer (seconds, by ``sleep``). ``refuse`` is the reason of a refusal of every
    segment; network types in ``ignores`` are left to other drivers. ``fail_bind`` and ``fail_compile`` raise
    :class:`FakeFailure` with that text. ``partial`` compiles that many networks only, by order of their ids.
    """

    node_kind: NodeKind = NodeKind.HOST
    name: str = "fake"
    vif_type: str = "other"
    delay: float = 0.0
    refuse: str = ""
    ignores: frozenset[str] = frozenset()
    fail_bind: str = ""
    fail_compile: str = ""
    partial: int | None = None
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._networks = HostNetworks(self.name)

    def bind(self, port: Port, network: Network, segment: Segment, node: Node) -> Answer:  # noqa: ARG002
        """As configured."""
        self._trouble(self.fail_bind)
        if self.name not in node.mechanisms or segment.network_type in self.ignores:
            return Continue()
        return Refused(self.refuse) if self.refuse else Bound(segment.id, self.vif_type, {"connectivity": "l2"})

    def compile(
        self,
        intent: Intent,
        node: Node,
        observation: Observation,  # noqa: ARG002
        changed_networks: Collection[str] | None = None,  # noqa: ARG002
    ) -> Plan:
        """A host plan as any agent would get it; an empty program for a switch."""
        self._trouble(self.fail_compile)
        if node.kind is NodeKind.SWITCH:
            return Program(intent.revision, {})
        plan = self._networks.plan(intent, node)
        return replace(plan, networks=plan.networks[: self.partial])

    def _trouble(self, text: str) -> None:
        if self.delay:
            self.sleep(self.delay)
        if text:
            raise FakeFailure(text)
