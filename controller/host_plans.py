"""Plans of legacy hosts: compiled as the intent changes, published to the agents, acknowledged by their reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.compiler import Compiler
from controller.errors import IsthmusError
from controller.model import Node, NodeKind, Observation
from controller.node_state import Board, NodeState, Work
from controller.turns import in_turns
from legacy_agent.host_plan import HostPlan

LOG = logging.getLogger(__name__)

FIRST_RETRY = 1.0
"""Seconds before a plan that could not be compiled is tried again though nothing changed; doubled each time."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a host's newest plan is missing, how often it was tried, and when it is tried again."""

    error: str
    attempts: int
    due: float


class HostPlans:
    """Keeps the plan of every host on the board. ``tell`` hears of nodes that acknowledged or have new errors."""

    def __init__(self, board: Board, compiler: Compiler, tell: Callable[[str], None], retry_max: float = 30.0) -> None:
        """``retry_max``: the longest time in seconds between two attempts to compile a plan."""
        self._board, self._compiler, self._tell, self._retry_max = board, compiler, tell, retry_max
        self._failures: dict[str, _Failure] = {}

    def compile(self, touched: Mapping[str, object] | None = None) -> None:
        """Compile plans of touched hosts (None: of all) and publish those that changed; watchers wake up. Others have
        their turn, and the board, between two hosts."""
        nodes = self._board.intent.nodes
        for node_id in in_turns(list(nodes if touched is None else touched)):
            with self._board.changed:
                node = nodes.get(node_id)
                if node is None:
                    self._failures.pop(node_id, None)
                elif node.kind is NodeKind.HOST:
                    self._compile(node)

    def retry(self) -> None:
        """Compile the plans again that could not be, when it is their time. To be called now and then."""
        with self._board.changed:
            now = self._board.clock()
            due = [node_id for node_id, failure in self._failures.items() if failure.due <= now]
        self.compile(dict.fromkeys(due))

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
            if not isinstance(plan, HostPlan):
                raise IsthmusError("the node is a legacy host but its plan is no host plan")
        except Exception as error:
            self._failed(node.id, work, error)
            return
        if self._failures.pop(node.id, None) is not None:
            LOG.info("the plan of %s can be compiled again", node.id)
            state.error = ""
        if state.host_plan is None or state.host_plan.networks != plan.networks:
            state.host_plan = plan
        state.host_plan_tick = work.tick
        self._settle(state)
        state.tell()

    def _failed(self, node_id: str, work: Work, error: Exception) -> None:
        """The host keeps the plan that it has; the error is shown until there is a newer one."""
        expected = isinstance(error, IsthmusError)
        message = f"cannot compile its plan: {error if expected else repr(error)}"
        before = self._failures.get(node_id)
        attempts = before.attempts + 1 if before is not None else 1
        delay = min(FIRST_RETRY * 2 ** min(attempts - 1, 16), self._retry_max)
        self._failures[node_id] = _Failure(message, attempts, self._board.clock() + delay)
        if before is None or before.error != message:  # the same trouble is told once
            LOG.log(logging.WARNING if expected else logging.ERROR, "%s: %s", node_id, message, exc_info=not expected)
        self._board.give_back(node_id, work, message)
        self._tell(node_id)

    def _settle(self, state: NodeState) -> None:
        plan = state.host_plan
        if plan is not None and plan.revision <= state.applied_revision <= self._board.intent.revision:
            self._board.acknowledge(state.node_id, state.host_plan_tick, state.applied_revision)
            failure = self._failures.get(state.node_id)
            if failure is not None:  # what is in force is an older plan
                state.error = failure.error
            self._tell(state.node_id)
