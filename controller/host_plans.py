"""Plans of legacy hosts: compiled as the intent changes, published to the agents, acknowledged by their reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from controller.compiler import Compiler
from controller.errors import IsthmusError
from controller.model import Node, NodeKind, Observation
from controller.node_state import Board, NodeState
from legacy_agent.host_plan import HostPlan

LOG = logging.getLogger(__name__)


class HostPlans:
    """Keeps the plan of every host on the board. ``tell`` hears of nodes that acknowledged or have new errors."""

    def __init__(self, board: Board, compiler: Compiler, tell: Callable[[str], None]) -> None:
        self._board, self._compiler, self._tell = board, compiler, tell

    def compile(self, touched: Mapping[str, object] | None = None) -> None:
        """Compile plans of touched hosts (None: of all) and publish those that changed; watchers wake up."""
        with self._board.changed:
            nodes = self._board.intent.nodes
            for node_id in list(nodes if touched is None else touched):
                node = nodes.get(node_id)
                if node is not None and node.kind is NodeKind.HOST:
                    self._compile(node)

    def applied(self, node_id: str, revision: int, errors: Mapping[str, str]) -> None:
        """A host's agent says that the plan of ``revision`` is in force, but for ``errors`` (network id -> reason)."""
        with self._board.changed:
            state = self._board.state(node_id)
            news = (state.applied_revision, dict(state.network_errors)) != (revision, dict(errors))
            state.applied_revision, state.network_errors = revision, dict(errors)
            self._settle(state)
        if news:
            self._tell(node_id)

    def _compile(self, node: Node) -> None:
        work = self._board.take(node.id)
        state = self._board.state(node.id)
        try:
            plan = self._compiler.compile(self._board.intent, node, Observation(node.id), work.networks)
        except Exception as error:
            LOG.exception("cannot compile the plan of %s", node.id)
            self._board.give_back(node.id, work, f"cannot compile its plan: {error}")
            return
        if not isinstance(plan, HostPlan):
            raise IsthmusError(f"node {node.id} is a legacy host but its plan is no host plan")
        if state.host_plan is None or state.host_plan.digest != plan.digest:
            state.host_plan = plan
        state.host_plan_tick = work.tick
        self._settle(state)
        state.tell()

    def _settle(self, state: NodeState) -> None:
        plan = state.host_plan
        if plan is not None and plan.revision <= state.applied_revision <= self._board.intent.revision:
            self._board.acknowledge(state.node_id, state.host_plan_tick, state.applied_revision)
            self._tell(state.node_id)
