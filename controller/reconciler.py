"""The loop that makes nodes follow the intent: compile, apply, acknowledge; back-off, audit, status.

One thread follows the change feed, one takes what switches and agents tell, one writes port statuses, and one per
connected switch applies its plan. Handlers only enqueue. A node's failure stays its own: its loop retries with
back-off while all others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from zlib import crc32

from controller.compiler import Compiler
from controller.dataplane.values import Program
from controller.declared import described
from controller.errors import FeedExpired, IsthmusError
from controller.fabric import FabricControl
from controller.host_plans import HostPlans
from controller.intent import Change
from controller.local_links import linked
from controller.mailbox import Mailbox
from controller.measures import Measures
from controller.model import NodeFacts, NodeKind, Observation, Port
from controller.node_state import Board, NodeState, Work
from controller.plugin.api import Feed, Nodes
from controller.status import PortStatus
from controller.status_writer import StatusWriter
from controller.switches import Rejection, Spawn, Switches

LOG = logging.getLogger(__name__)

FIRST_RETRY = 0.2
"""Seconds before the first retry after a failed apply; doubled each time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds: the largest back-off, the audit period (0: none), and when a silent host counts as down."""

    retry_max: float = 30.0
    audit_interval: float = 300.0
    agent_down_time: float = 30.0


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """The newest revision that is known to be committed, the newest that the intent has, and how many seconds ago the
    feed was last read."""

    committed: int
    taken_over: int
    silence: float


class Reconciler:
    """Makes every node follow the intent. :meth:`start` starts the threads; :meth:`stop` ends them."""

    def __init__(
        self, feed: Feed, nodes: Nodes, compiler: Compiler, switches: Switches, pace: Pace,
        spawn: Spawn, clock: Callable[[], float] = time.monotonic, fabric: FabricControl | None = None,
        measures: Measures | None = None, wall_clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._measures, self._wall_clock = measures or Measures(), wall_clock
        self.board = Board(clock)
        self._feed, self._nodes, self._compiler, self._switches = feed, nodes, compiler, switches
        self._pace, self._spawn, self._fabric = pace, spawn, fabric
        if fabric is not None:
            self.board.transit = fabric.members
            fabric.names = self._switch_names
        self._events = Mailbox("node events", spawn)
        self._statuses = StatusWriter(self.board, nodes, spawn, pace.agent_down_time)
        self._host_plans = HostPlans(self.board, compiler, self._statuses.node_changed)
        self._loops: set[str] = set()
        self._told: dict[str, tuple[NodeFacts, Observation]] = {}
        """What each switch said of itself last, without what is declared of it."""
        self._news = threading.Event()
        self._stopped = threading.Event()
        self._following = threading.RLock()
        self._followed = 0
        """The revision up to which the feed was read; later than the intent's when only statuses changed since."""
        self._committed = 0
        self._feed_read_at = float("-inf")

    def start(self) -> None:
        """Load the intent and start to follow it."""
        with self.board.changed:
            self.board.intent = self._feed.load()
        LOG.info(
            "intent at revision %d: %d networks, %d ports, %d nodes",
            self.board.intent.revision,
            len(self.board.intent.networks),
            len(self.board.intent.ports),
            len(self.board.intent.nodes),
        )
        self.board.touch({node.id: None for node in self.board.intent.nodes.values()})
        if self._fabric is not None:
            nodes = self.board.intent.nodes.values()
            away = self._nodes.long_away()
            self._fabric.expect(node.id for node in nodes if node.kind is NodeKind.SWITCH and node.id not in away)
            self._fabric.plan(self.board.intent.cables)
        self._host_plans.compile()
        self._feed_read_at = self.board.clock()
        self._feed.subscribe(self._hear)
        for loop in (self._follow_feed, self._watch_liveness):
            self._spawn(loop)
        self._events.start()
        self._statuses.start(self._nodes.port_statuses())

    def stop(self) -> None:
        """End all threads; nodes keep forwarding as they are."""
        self._stopped.set()
        self._news.set()
        self._events.stop()
        self._statuses.stop()
        for state in self.board.states():
            state.tell()

    # -- the change feed -----------------------------------------------------------------------------------------

    def _follow_feed(self) -> None:
        while not self._stopped.is_set():
            self._news.wait(timeout=1.0)
            self._news.clear()
            try:
                self.catch_up()
            except Exception:
                LOG.exception("cannot read the change feed; trying again in a second")
                self._stopped.wait(1.0)

    def _hear(self, revision: int) -> None:
        self._committed = max(self._committed, revision)
        self._news.set()

    def feed_progress(self) -> FeedProgress:
        """How far the intent is behind the store, by what is known here."""
        followed = max(self._followed, self.board.intent.revision)
        return FeedProgress(max(self._committed, followed), followed, self.board.clock() - self._feed_read_at)

    def queues(self) -> Mapping[str, int]:
        """How much waits: what nodes told, and ports whose status is to be decided."""
        return {"node_events": self._events.waiting, "port_statuses": self._statuses.waiting}

    def catch_up(self) -> None:
        """Take over every committed change; after it the intent is as new as the store was at the call."""
        with self._following:
            newest = self._feed.latest()
            self._feed_read_at = self.board.clock()
            self._committed = max(self._committed, newest)
            if newest == self._followed:
                return
            try:
                changes = self._feed.since(max(self._followed, self.board.intent.revision))
            except FeedExpired as error:
                LOG.warning("%s", error)
                changes = [self._everything()]
            for change in changes:
                self._take_over(change)
            self._followed = newest

    def _everything(self) -> Change:
        """The difference between the intent and the whole store, as one change."""
        new, old = self._feed.load(), self.board.intent
        return Change.of(
            new.revision,
            dict.fromkeys(old.networks) | new.networks,
            dict.fromkeys(old.ports) | new.ports,
            dict.fromkeys(old.nodes) | new.nodes,
            dict.fromkeys(old.switches) | new.switches,
            new.cables,
        )

    def _take_over(self, change: Change) -> None:
        with self.board.changed:
            before = {port_id: self.board.intent.ports.get(port_id) for port_id in change.ports}
            touched = self.board.intent.apply(change)
            self._follow_links(before)
            tick = self.board.touch(self._with_transit(touched.nodes, change.networks))
            moved = {port_id for port_id, port in before.items() if port != self.board.intent.ports.get(port_id)}
            self._statuses.changed(moved, tick)
            for network_id in change.networks:
                self._statuses.changed(self.board.intent.bound_ports(network_id), tick)
        if change.at is not None:
            self._measures.taken_over(self._wall_clock() - change.at)
        self._host_plans.compile(touched.nodes)
        for node_id in change.switches:
            self._events.put(partial(self._declared_otherwise, node_id))
        if change.cables is not None and self._fabric is not None:
            self._fabric.plan(change.cables)

    def _with_transit(
        self, touched: Mapping[str, frozenset[str]], networks: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """The touched nodes and those that carry the same networks for them over links, or one of ``networks`` from
        one way out to another."""
        if self._fabric is None:
            return touched
        passing = self._fabric.passing(self.board.intent, touched, networks)
        return {node_id: touched.get(node_id, frozenset()) | passing.get(node_id, set())
                for node_id in touched.keys() | passing.keys()}  # fmt: skip

    def _follow_links(self, before: Mapping[str, Port | None]) -> None:
        """Find out again where changed ports are plugged in that say so themselves."""
        for port_id, old in before.items():
            new = self.board.intent.ports.get(port_id)
            linked_ports = [port for port in (old, new) if port is not None and port.local_links]
            for node_id in {port.binding.node_id for port in linked_ports if port.binding is not None}:
                state = self.board.known(node_id)
                if state is not None and state.told is not None and state.observation is not None:
                    found = linked(state.told, () if new is None else (new,)).attachments.get(port_id)
                    kept = {key: item for key, item in state.observation.attachments.items() if key != port_id}
                    attachments = kept if found is None else {**kept, port_id: found}
                    state.observation = replace(state.observation, attachments=attachments)
                    if self._fabric is not None:
                        self._fabric.observed(state.observation)

    # -- what nodes tell -----------------------------------------------------------------------------------------

    def switch_ready(self, facts: NodeFacts, observation: Observation) -> None:
        """A switch is ready, or its facts or what is plugged into it changed."""
        self._events.put(lambda: self.node_observed(facts, observation))

    def switch_lost(self, node_id: str) -> None:
        """The session with a switch ended."""
        self._events.put(lambda: self.node_lost(node_id))

    def switch_rejected(self, node_id: str, rejection: Rejection) -> None:
        """A switch refused a flow or group."""
        LOG.error("%s refused %s: %s", node_id, rejection.why or "an entry", rejection.error)

    def told_by(self, node_id: str) -> tuple[NodeFacts, Observation] | None:
        """What a switch said of itself last, without what is declared of it."""
        return self._told.get(node_id)

    def _declared_otherwise(self, node_id: str) -> None:
        told, state = self._told.get(node_id), self.board.known(node_id)
        if told is not None and state is not None and state.connected:
            self.node_observed(*told)

    def node_observed(self, facts: NodeFacts, observation: Observation) -> None:
        """Record facts and endpoints of a node and ask it to follow. Runs in the caller's thread."""
        if facts.kind is NodeKind.SWITCH:
            self._told[facts.id] = facts, observation
            earlier, said = self.board.state(facts.id).told, self.board.intent.switches.get(facts.id)
            facts, observation = described(facts, observation, said, earlier.uplinks if earlier else {})
        known = self._says_nothing_new(facts)
        news = not known and self._nodes.node_seen(facts) != self.board.intent.nodes.get(facts.id)
        state = self.board.state(facts.id)
        before = state.told.attachments if state.told else {}
        for port_id in observation.attachments.keys() - before.keys():
            if not self._is_bound(port_id, facts):
                self._nodes.port_plugged(port_id, facts.id)
                news = True
        for port_id in before.keys() - observation.attachments.keys():
            self._nodes.port_unplugged(port_id, facts.id)
            news = True
        if news:
            self.catch_up()
        came_back = not state.connected
        self._observe(state, observation)
        if known and came_back and state.is_switch:
            state.last_seen = float("-inf")  # the store hears of it with the next heartbeats, of all nodes at once
        if facts.kind is NodeKind.SWITCH:
            self._start_loop(facts.id)

    def _says_nothing_new(self, facts: NodeFacts) -> bool:
        """Whether the store knows these facts already, and no port waits for the node to be bound to it."""
        intent = self.board.intent
        node = intent.nodes.get(facts.id)
        return node is not None and node.facts() == facts and not intent.is_wished_for(facts.id, facts.host)

    def _is_bound(self, port_id: str, facts: NodeFacts) -> bool:
        """Whether the port is known to be bound to the node that it was plugged into: the store need not be asked."""
        port = self.board.intent.ports.get(port_id)
        return (port is not None and port.binding is not None and port.binding.node_id == facts.id
                and port.host == facts.host)  # fmt: skip

    def _observe(self, state: NodeState, told: Observation) -> None:
        with self.board.changed:
            came_back = not state.connected
            old = state.observation
            state.connected, state.last_seen = True, self.board.clock()
            ports = self.board.intent.ports
            observation = linked(told, (ports[port_id] for port_id in self._ports_of(state.node_id)))
            state.told, state.observation = told, observation
            if self._fabric is not None and state.is_switch:
                self._fabric.observed(observation)
            if came_back or old != observation:
                tick = self.board.touch({state.node_id: None} if state.is_switch else {})
                seen = _moved(old, observation)
                self._statuses.plugged(seen if not came_back else self._ports_of(state.node_id) | seen, tick)

    def node_lost(self, node_id: str) -> None:
        """The node is not connected any more; its ports are DOWN, its peers go on as they are."""
        with self.board.changed:
            state = self.board.state(node_id)
            state.connected = False
            ports = self._ports_of(node_id)
            state.tell()
        if self._fabric is not None:
            self._fabric.lost(node_id)
        self._nodes.node_lost(node_id)
        self._statuses.plugged(ports, self.board.tick)
        self._statuses.node_changed(node_id)

    def _switch_names(self) -> dict[str, str]:
        nodes = list(self.board.intent.nodes.values())
        return {node.host: node.id for node in nodes if node.kind is NodeKind.SWITCH}

    def _ports_of(self, node_id: str) -> set[str]:
        intent = self.board.intent
        return {port for network in intent.networks_of(node_id) for port in intent.ports_on(node_id, network)}

    def port_status(self, port: Port) -> PortStatus:
        """The status of a port as of now."""
        return self._statuses.status_of(port)

    # -- switches ------------------------------------------------------------------------------------------------

    def _start_loop(self, node_id: str) -> None:
        with self.board.changed:
            if node_id in self._loops:
                return
            self._loops.add(node_id)
        self._spawn(lambda: self._switch_loop(node_id))

    def _switch_loop(self, node_id: str) -> None:
        state = self.board.state(node_id)
        try:
            while state.connected and not self._stopped.is_set():
                if self._wait_for_work(state):
                    self._sync(state)
                elif state.connected and not self._stopped.is_set():
                    self._audit(state)
        finally:
            with self.board.changed:
                self._loops.discard(node_id)
                restart = state.connected and not self._stopped.is_set()
            if restart:
                self._start_loop(node_id)

    def _wait_for_work(self, state: NodeState) -> bool:
        """Wait until something is asked of a connected switch; False when it is time for an audit, or to end."""
        period = self._pace.audit_interval * _spread(state.node_id) or None
        with state.news:
            state.news.wait_for(lambda: state.pending or not state.connected or self._stopped.is_set(), timeout=period)
            return state.pending and state.connected and not self._stopped.is_set()

    def _sync(self, state: NodeState) -> None:
        work = self.board.take(state.node_id)
        try:
            program = self._program(state, work)
            if program is None:
                self.board.give_back(state.node_id, work, "waiting for the node's facts and links")
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
        self._acknowledged(state.node_id, work.tick, program.revision)

    def _program(self, state: NodeState, work: Work) -> Program | None:
        with self.board.changed:
            node = self.board.intent.nodes.get(state.node_id)
            observation = self.seen(state)
            if node is None or observation is None:
                return None
            with self._measures.compiling():
                plan = self._compiler.compile(self.board.intent, node, observation, work.networks)
        if not isinstance(plan, Program):
            raise IsthmusError(f"node {state.node_id} is a switch but its plan is no OpenFlow program")
        return plan

    def seen(self, state: NodeState) -> Observation | None:
        """What the node's plan depends on besides the intent; None while that is not known yet."""
        if self._fabric is None or state.observation is None or not state.is_switch:
            return state.observation
        view = self._fabric.view(state.node_id)
        return None if view is None else replace(state.observation, fabric=view)

    def _failed(self, state: NodeState, work: Work, error: Exception) -> None:
        expected = isinstance(error, IsthmusError)
        LOG.log(logging.WARNING if expected else logging.ERROR, "%s: %s", state.node_id, error, exc_info=not expected)
        message = str(error) if expected else f"internal error: {error!r}"
        self.board.give_back(state.node_id, work, message)
        self._statuses.node_changed(state.node_id)
        delay = min(FIRST_RETRY * 2 ** min(state.attempts - 1, 16), self._pace.retry_max)
        with state.news:
            state.news.wait_for(lambda: not state.connected or self._stopped.is_set(), timeout=delay)

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

    def _acknowledged(self, node_id: str, tick: int, revision: int) -> None:
        self.board.acknowledge(node_id, tick, revision)
        self._statuses.node_changed(node_id)

    # -- legacy hosts --------------------------------------------------------------------------------------------

    def host_announces(self, facts: NodeFacts, key: bytes) -> None:
        """A host's agent says by LLDP which switch port it hangs on, with digests made with ``key``."""
        if self._fabric is not None and 0 < len(key) <= 64:
            self._fabric.host_seen(facts.id, facts.host, facts.physical_networks, key)

    def host_applied(self, node_id: str, revision: int, errors: Mapping[str, str]) -> None:
        """See :meth:`controller.host_plans.HostPlans.applied`."""
        self._host_plans.applied(node_id, revision, errors)

    def _watch_liveness(self) -> None:
        """Notice hosts whose agents fell silent; record that connected switches are alive."""
        down_time = self._pace.agent_down_time
        while not self._stopped.wait(min(1.0, down_time / 3)):
            now = self.board.clock()
            alive = []
            for state in self.board.states():
                if not state.connected or now - state.last_seen < down_time / 3:
                    continue
                if state.is_switch:
                    state.last_seen = now
                    alive.append(state.node_id)
                elif now - state.last_seen > down_time:
                    LOG.warning("%s: no report for %.0f s", state.node_id, down_time)
                    self._events.put(partial(self._silent, state))
            if alive:
                self._events.put(partial(self._record_alive, alive))

    def _record_alive(self, node_ids: list[str]) -> None:
        states = {node_id: self.board.known(node_id) for node_id in node_ids}
        self._nodes.node_heartbeats([node_id for node_id, state in states.items() if state and state.connected])

    def _silent(self, state: NodeState) -> None:
        if self.board.clock() - state.last_seen > self._pace.agent_down_time:
            self.node_lost(state.node_id)


def _spread(node_id: str) -> float:
    """A factor from 0.75 to 1.25 that is always the node's: a thousand switches that came at once are not audited, and
    their programs compiled, at once."""
    return 0.75 + crc32(node_id.encode()) / 2**33


def _moved(old: Observation | None, new: Observation) -> set[str]:
    """The ports whose endpoints changed; all there are when the node's ways out did."""
    before = old.attachments if old is not None else {}
    ports = before.keys() | new.attachments.keys()
    if old is None or (old.uplinks, old.tunnel_ports) != (new.uplinks, new.tunnel_ports):
        return set(ports)
    return {port_id for port_id in ports if before.get(port_id) != new.attachments.get(port_id)}
