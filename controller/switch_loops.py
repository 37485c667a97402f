"""One loop per connected switch: wait for work, compile, apply, acknowledge; retry with back-off, audit.

A switch's failure stays its own: its loop waits and tries again while all others go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from zlib import crc32

from controller.compiler import Compiler
from controller.dataplane.values import Program
from controller.errors import IsthmusError
from controller.fabric import FabricControl
from controller.measures import Measures
from controller.model import Observation
from controller.node_state import Board, NodeState, Work
from controller.pace import Pace
from controller.switches import Spawn, Switches

LOG = logging.getLogger(__name__)

FIRST_RETRY = 0.2
"""Seconds before the first retry after a failed apply; doubled each time."""


class SwitchLoops:
    """Makes connected switches follow the board. ``tell`` hears of those that acknowledged or failed."""

    def __init__(
        self, board: Board, compiler: Compiler, switches: Switches, pace: Pace, spawn: Spawn,
        fabric: FabricControl | None, measures: Measures, tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._board, self._compiler, self._switches, self._pace = board, compiler, switches, pace
        self._spawn, self._fabric, self._measures, self._tell = spawn, fabric, measures, tell
        self._running: set[str] = set()
        self._stopped = threading.Event()

    def start(self, node_id: str) -> None:
        """Start the loop of a connected switch unless it runs; it ends when the switch is not connected any more."""
        with self._board.changed:
            if node_id in self._running:
                return
            self._running.add(node_id)
        self._spawn(lambda: self._run(node_id))

    def stop(self) -> None:
        """End all loops."""
        self._stopped.set()
        for state in self._board.states():
            state.tell()

    def seen(self, state: NodeState) -> Observation | None:
        """What the node's plan depends on besides the intent; None while that is not known yet."""
        if self._fabric is None or state.observation is None or not state.is_switch:
            return state.observation
        view = self._fabric.view(state.node_id)
        return None if view is None else replace(state.observation, fabric=view)

    def _run(self, node_id: str) -> None:
        state = self._board.state(node_id)
        try:
            while self._goes_on(state):
                if self._wait_for_work(state):
                    self._sync(state)
                elif self._goes_on(state):
                    self._audit(state)
        finally:
            with self._board.changed:
                self._running.discard(node_id)
                restart = self._goes_on(state)
            if restart:
                self.start(node_id)

    def _goes_on(self, state: NodeState) -> bool:
        return state.connected and not self._stopped.is_set()

    def _wait_for_work(self, state: NodeState) -> bool:
        """Wait until something is asked of a connected switch; False when it is time for an audit, or to end."""
        period = self._pace.audit_interval * _spread(state.node_id) or None
        with state.news:
            state.news.wait_for(lambda: state.pending or not self._goes_on(state), timeout=period)
            return state.pending and self._goes_on(state)

    def _sync(self, state: NodeState) -> None:
        work = self._board.take(state.node_id)
        try:
            program = self._program(state, work)
            if program is None:
                self._board.give_back(state.node_id, work, "waiting for the node's facts and links")
                self._stopped.wait(FIRST_RETRY)
                return
            applied = self._switches.apply(state.node_id, program)
        except Exception as error:
            self._failed(state, work, error)
            return
        LOG.info(
            "%s: revision %d in force (%s)",
            state.node_id,
            program.revision,
            "adopted" if applied.adopted else f"+{applied.flows_added} -{applied.flows_removed} flows",
        )
        self._board.acknowledge(state.node_id, work.tick, program.revision)
        self._tell(state.node_id)

    def _program(self, state: NodeState, work: Work) -> Program | None:
        with self._board.changed:
            node = self._board.intent.nodes.get(state.node_id)
            observation = self.seen(state)
            if node is None or observation is None:
                return None
            with self._measures.compiling():
                plan = self._compiler.compile(self._board.intent, node, observation, work.networks)
        if not isinstance(plan, Program):
            raise IsthmusError(f"node {state.node_id} is a switch but its plan is no OpenFlow program")
        return plan

    def _failed(self, state: NodeState, work: Work, error: Exception) -> None:
        expected = isinstance(error, IsthmusError)
        LOG.log(logging.WARNING if expected else logging.ERROR, "%s: %s", state.node_id, error, exc_info=not expected)
        message = str(error) if expected else f"internal error: {error!r}"
        self._board.give_back(state.node_id, work, message)
        self._tell(state.node_id)
        delay = min(FIRST_RETRY * 2 ** min(state.attempts - 1, 16), self._pace.retry_max)
        with state.news:
            state.news.wait_for(lambda: not self._goes_on(state), timeout=delay)

    def _audit(self, state: NodeState) -> None:
        program = self._program(state, Work(state.asked, frozenset()))
        if program is None:
            return
        try:
            applied = self._switches.audit(state.node_id, program)
        except IsthmusError as error:
            LOG.warning("audit of %s: %s", state.node_id, error)
            return
        if applied.flows_added or applied.flows_removed or applied.groups_changed:
            LOG.warning(
                "audit of %s repaired its tables: +%d -%d flows, %d groups",
                state.node_id,
                applied.flows_added,
                applied.flows_removed,
                applied.groups_changed,
            )


def _spread(node_id: str) -> float:
    """A factor from 0.75 to 1.25 that is always the node's: a thousand switches that came at once are not audited, and
    their programs compiled, at once."""
    return 0.75 + crc32(node_id.encode()) / 2**33
