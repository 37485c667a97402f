"""What compiles plans, as the loops see it."""

from __future__ import annotations

from typing import Protocol

from controller.dataplane.values import Program
from controller.intent import Intent
from controller.model import Node, Observation
from legacy_agent.host_plan import HostPlan


class Compiler(Protocol):
    """What compiles a node's plan; the mechanism manager."""

    def compile(
        self, intent: Intent, node: Node, observation: Observation, changed_networks: frozenset[str] | None = None
    ) -> Program | HostPlan: ...

    def prepare(self, intent: Intent) -> None:
        """Work out what plans have in common; plans do not depend on it."""
