"""Connected switches: adopt, or compile, apply, acknowledge; retry with back-off, audit.

A switch that came back and shows that it has its program is adopted on the spot. Any other work has a thread of the
switch's own, which ends when nothing is left to do; so a switch's failure stays its own: its thread waits and tries
again while all others go on. A switch that was not asked anything for long is audited.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from zlib import crc32

from controller.compiler import Compiler
from controller.dataplane.values import Program
from controller.errors import IsthmusError
from controller.fabric import FabricControl
from controller.measures import Measures
from controller.model import Observation
from controller.node_state import Board, NodeState, Work
from controller.pace import Pace
from controller.switches import Applied, Spawn, Switches
from controller.turns import give_way

LOG = logging.getLogger(__name__)

FIRST_RETRY = 0.2
"""Seconds before the first retry after a failed apply; doubled each time."""

NAMED = 10
"""Adopted switches that a line of the log names."""

LOOK = 1.0
"""Seconds between looks for switches that are to be audited, at most."""


class SwitchLoops:
    """Makes connected switches follow the board. ``tell`` hears of those that acknowledged or failed."""

    def __init__(
        self, board: Board, compiler: Compiler, switches: Switches, pace: Pace, spawn: Spawn,
        fabric: FabricControl | None, measures: Measures, tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._board, self._compiler, self._switches, self._pace = board, compiler, switches, pace
        self._spawn, self._fabric, self._measures, self._tell = spawn, fabric, measures, tell
        self._running: dict[str, object] = {}
        """Switches that somebody works for at the moment, each with a token of whoever does. ``setdefault`` and
        ``pop`` are atomic, which spares every switch two locks."""
        self._idle_since: dict[str, float] = {}
        self._adopted: deque[str] = deque()
        """Switches that were adopted, and of which the log does not know yet."""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to audit switches, if they are to be."""
        if self._pace.audit_interval:
            self._spawn(self._audit_idle)

    def follow(self, node_id: str) -> None:
        """A switch connected or told something: see to it that it follows from now on, as long as it is connected."""
        state = self._board.state(node_id)
        state.wake = partial(self._begin, state)
        if not self._switches.may_hold(node_id):
            self._begin(state)
        elif self._take_on(state):
            adopted = False
            try:
                adopted = self._adopt(state)
            finally:
                if adopted:
                    self._leave(state)
                else:
                    self._spawn(partial(self._run, state))

    def log_adopted(self) -> None:
        """Have the log know of the switches that were adopted since the last call. In a storm of a thousand, a line
        for each would be a twentieth of what it costs, and hide all others."""
        names = [self._adopted.popleft() for _ in range(len(self._adopted))]
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            LOG.info("in force already (adopted): %s%s", ", ".join(names[:NAMED]), more)

    def stop(self) -> None:
        """End all threads."""
        self._stopped.set()
        for state in self._board.states():
            state.tell()

    def seen(self, state: NodeState) -> Observation | None:
        """What the node's plan depends on besides the intent; None while that is not known yet."""
        if self._fabric is None or state.observation is None or not state.is_switch:
            return state.observation
        view = self._fabric.view(state.node_id)
        return None if view is None else replace(state.observation, fabric=view)

    def _begin(self, state: NodeState) -> None:
        """Have a thread do what is to be done, unless one does."""
        if self._take_on(state):
            self._spawn(partial(self._run, state))

    def _take_on(self, state: NodeState) -> bool:
        """Whether there is work and nobody else does it; whoever has some from now on wakes the switch."""
        return self._has_work(state) and self._reserve(state)

    def _reserve(self, state: NodeState) -> bool:
        me = object()
        return self._running.setdefault(state.node_id, me) is me

    def _leave(self, state: NodeState) -> None:
        """The opposite of taking on, for somebody who found nothing more to do; there may be something by now."""
        self._idle_since[state.node_id] = self._board.clock()
        self._running.pop(state.node_id, None)
        self._begin(state)

    def _has_work(self, state: NodeState) -> bool:
        return state.pending and self._goes_on(state)

    def _goes_on(self, state: NodeState) -> bool:
        return state.connected and not self._stopped.is_set()

    def _run(self, state: NodeState) -> None:
        try:
            while self._has_work(state):
                self._sync(state)
        finally:
            self._leave(state)

    def _adopt(self, state: NodeState) -> bool:
        """Whether the switch holds its program already, as far as that can be told without asking it anything."""
        work, applied = self._board.take(state.node_id), None
        try:
            program = self._program(state, work, timed=False)
            applied = None if program is None else self._switches.adopt(state.node_id, program)
        except Exception:
            LOG.debug("%s cannot be adopted", state.node_id, exc_info=True)  # its own thread will say why
        if applied is None:
            self._board.put_back(state.node_id, work)
            return False
        self._applied(state, work, applied)
        return True

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
        self._applied(state, work, applied)

    def _applied(self, state: NodeState, work: Work, applied: Applied) -> None:
        if applied.adopted:
            self._adopted.append(state.node_id)
        else:
            added, removed = applied.flows_added, applied.flows_removed
            LOG.info("%s: revision %d in force (+%d -%d flows)", state.node_id, applied.revision, added, removed)
        self._board.acknowledge(state.node_id, work.tick, applied.revision)
        self._tell(state.node_id)

    def _program(self, state: NodeState, work: Work, timed: bool = True) -> Program | None:
        """The switch's program. Of one that is only compared with a stamp nothing is made, so that its time would say
        nothing of those that are."""
        give_way()  # rather than in the middle, with everybody else waiting for the board
        with self._board.changed:
            intent = self._board.intent
            node = intent.nodes.get(state.node_id)
            observation = self.seen(state)
            if node is None or observation is None:
                return None
            compile_it = partial(self._compiler.compile, intent, node, observation, work.networks)
            plan = self._measures.compiled(compile_it) if timed else compile_it()
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
        state.wait_for(lambda: not self._goes_on(state), timeout=delay)

    def _audit_idle(self) -> None:
        period = self._pace.audit_interval
        while not self._stopped.wait(min(LOOK, period / 4)):
            now = self._board.clock()
            for node_id, since in list(self._idle_since.items()):
                if now >= since + period * _spread(node_id):
                    self._idle_since[node_id] = now
                    self._begin_audit(self._board.state(node_id))

    def _begin_audit(self, state: NodeState) -> None:
        if self._goes_on(state) and self._reserve(state):
            self._spawn(partial(self._audit_and_run, state))

    def _audit_and_run(self, state: NodeState) -> None:
        try:
            self._audit(state)
        finally:
            self._run(state)

    def _audit(self, state: NodeState) -> None:
        try:
            program = self._program(state, Work(state.asked, frozenset()))
            if program is None:
                return
            applied = self._switches.audit(state.node_id, program)
        except Exception as error:
            LOG.warning("audit of %s: %s", state.node_id, error, exc_info=not isinstance(error, IsthmusError))
            return
        if applied.flows_added or applied.flows_removed or applied.groups_changed:
            LOG.warning(
                "audit of %s repaired its tables: +%d -%d flows, %d groups and meters",
                state.node_id,
                applied.flows_added,
                applied.flows_removed,
                applied.groups_changed,
            )


def _spread(node_id: str) -> float:
    """A factor from 0.75 to 1.25 that is always the node's: a thousand switches that came at once are not audited, and
    their programs compiled, at once."""
    return 0.75 + crc32(node_id.encode()) / 2**33
