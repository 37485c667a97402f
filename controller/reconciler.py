"""Makes nodes follow the intent: takes changes over, tells the nodes that they touch, and joins the parts that do so.

One thread follows the change feed (:mod:`controller.feed_follower`), one takes what switches and agents tell
(:mod:`controller.sightings`), one writes port statuses (:mod:`controller.status_writer`), and switches with something
to do have one each that applies their plan (:mod:`controller.switch_loops`). Handlers only enqueue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from controller.compiler import Compiler
from controller.fabric import FabricControl
from controller.feed_follower import FeedFollower, FeedProgress
from controller.host_plans import HostPlans
from controller.intent import Change
from controller.mailbox import Mailbox
from controller.measures import Measures
from controller.model import NodeFacts, NodeKind, Observation, Port
from controller.node_state import Board, NodeState
from controller.pace import Pace
from controller.plugin.api import Feed, Nodes
from controller.sightings import Sightings
from controller.status import PortStatus
from controller.status_writer import StatusWriter
from controller.switch_loops import SwitchLoops
from controller.switches import Rejection, Spawn, Switches

LOG = logging.getLogger(__name__)


class Reconciler:
    """Makes every node follow the intent. :meth:`start` starts the threads; :meth:`stop` ends them."""

    def __init__(
        self, feed: Feed, nodes: Nodes, compiler: Compiler, switches: Switches, pace: Pace,
        spawn: Spawn, clock: Callable[[], float] = time.monotonic, fabric: FabricControl | None = None,
        measures: Measures | None = None, wall_clock: Callable[[], float] = time.time,
        overlay_ip_version: int = 4,
    ) -> None:  # fmt: skip
        self._measures, self._wall_clock = measures or Measures(), wall_clock
        self.board = Board(clock)
        self._nodes, self._pace, self._spawn, self._fabric = nodes, pace, spawn, fabric
        if fabric is not None:
            self.board.transit = fabric.members
            fabric.names = self._switch_names
        self._events = Mailbox("node events", spawn)
        self._statuses = StatusWriter(self.board, nodes, spawn, pace.agent_down_time)
        self._compiler = compiler
        self._host_plans = HostPlans(self.board, compiler, self._statuses.node_changed, pace.retry_max)
        self._follower = FeedFollower(self.board, feed, self._take_over, spawn)
        self._sightings = Sightings(self.board, nodes, self._statuses, fabric, self._follower.catch_up,
                                    overlay_ip_version, pace.agent_down_time)  # fmt: skip
        self._loops = SwitchLoops(self.board, compiler, switches, pace, spawn, fabric, self._measures,
                                  self._statuses.node_changed)  # fmt: skip
        self._stopped = threading.Event()

    def start(self) -> None:
        """Load the intent and start to follow it."""
        self._follower.load()
        intent = self.board.intent
        LOG.info(
            "intent at revision %d: %d networks, %d ports, %d nodes",
            intent.revision,
            len(intent.networks),
            len(intent.ports),
            len(intent.nodes),
        )
        self._compiler.prepare(intent)  # before a thousand switches come at once
        self.board.touch({node.id: None for node in intent.nodes.values()})
        if self._fabric is not None:
            away = self._nodes.long_away()
            nodes = intent.nodes.values()
            self._fabric.expect(node.id for node in nodes if node.kind is NodeKind.SWITCH and node.id not in away)
            for node in nodes:
                if node.kind is NodeKind.HOST:
                    self._fabric.host_seen(node.id, node.host, node.physical_networks, b"")
            self._fabric.plan(intent.cables)
        self._host_plans.compile()
        self._follower.start()
        self._spawn(self._watch_liveness)
        self._loops.start()
        self._events.start()
        self._statuses.start(self._nodes.port_statuses())

    def stop(self) -> None:
        """End all threads; nodes keep forwarding as they are."""
        self._stopped.set()
        self._follower.stop()
        self._events.stop()
        self._statuses.stop()
        self._loops.stop()

    # -- what others ask -----------------------------------------------------------------------------------------

    def feed_progress(self) -> FeedProgress:
        """How far the intent is behind the store, by what is known here."""
        return self._follower.progress()

    def queues(self) -> Mapping[str, int]:
        """How much waits: what nodes told, and ports whose status is to be decided."""
        return {"node_events": self._events.waiting, "port_statuses": self._statuses.waiting}

    def catch_up(self) -> None:
        """Take over every committed change; after it the intent is as new as the store was at the call."""
        self._follower.catch_up()

    def told_by(self, node_id: str) -> tuple[NodeFacts, Observation] | None:
        """What a switch said of itself last, without what is declared of it."""
        return self._sightings.told_by(node_id)

    def seen(self, state: NodeState) -> Observation | None:
        """What the node's plan depends on besides the intent; None while that is not known yet."""
        return self._loops.seen(state)

    def port_status(self, port: Port) -> PortStatus:
        """The status of a port as of now."""
        return self._statuses.status_of(port)

    # -- changes of the intent -----------------------------------------------------------------------------------

    def _take_over(self, change: Change) -> None:
        with self.board.changed:
            before = {port_id: self.board.intent.ports.get(port_id) for port_id in change.ports}
            touched = self.board.intent.apply(change)
            self._sightings.follow_links(before)
            tick = self.board.touch(self._with_transit(touched.nodes, change.networks))
            moved = {port_id for port_id, port in before.items() if port != self.board.intent.ports.get(port_id)}
            self._statuses.changed(moved | touched.displaced, tick)
            for network_id in change.networks:
                self._statuses.changed(self.board.intent.bound_ports(network_id), tick)
        if change.at is not None:
            self._measures.taken_over(self._wall_clock() - change.at)
        self._host_plans.compile(touched.nodes)
        for node_id in change.switches:
            self._events.put(partial(self._sightings.declared_otherwise, node_id))
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

    def node_observed(self, facts: NodeFacts, observation: Observation) -> None:
        """Record facts and endpoints of a node and ask it to follow. Runs in the caller's thread."""
        self._sightings.observed(facts, observation)
        if facts.kind is NodeKind.SWITCH:
            self._loops.follow(facts.id)

    def node_lost(self, node_id: str) -> None:
        """The node is not connected any more. Runs in the caller's thread."""
        self._sightings.lost(node_id)

    def host_announces(self, facts: NodeFacts, key: bytes) -> None:
        """A host's agent says by LLDP which switch port it hangs on, with digests made with ``key``."""
        if self._fabric is not None and 0 < len(key) <= 64:
            self._fabric.host_seen(facts.id, facts.host, facts.physical_networks, key)

    def host_applied(self, node_id: str, revision: int, errors: Mapping[str, str]) -> None:
        """See :meth:`controller.host_plans.HostPlans.applied`."""
        self._host_plans.applied(node_id, revision, errors)

    def _switch_names(self) -> dict[str, str]:
        nodes = list(self.board.intent.nodes.values())
        return {node.host: node.id for node in nodes if node.kind is NodeKind.SWITCH}

    # -- who is alive --------------------------------------------------------------------------------------------

    def _watch_liveness(self) -> None:
        """Notice hosts whose agents fell silent; record that connected switches are alive; try plans again that could
        not be compiled."""
        down_time = self._pace.agent_down_time
        while not self._stopped.wait(min(1.0, down_time / 3)):
            self._host_plans.retry()
            self._loops.log_adopted()
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
