"""What nodes tell of themselves: their facts go to the store, what is plugged into them to the board and the fabric.

What a switch says is completed by what operators declare of it (:mod:`controller.declared`) and by the ports that say
themselves where they are plugged in (:mod:`controller.local_links`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Set

from controller.declared import described
from controller.endpoints import within_overlay
from controller.fabric import FabricControl
from controller.local_links import linked, numbers_of
from controller.model import NodeFacts, NodeKind, Observation, Port
from controller.node_state import Board, NodeState
from controller.plugin.api import Nodes
from controller.status_writer import StatusWriter

DOUBT = 5.0
"""Seconds that a tap may outlive the port of Open vSwitch that it was: VMs are taken down step by step."""


class Sightings:
    """Records nodes that come, change and go. ``catch_up`` makes the intent as new as the store."""

    def __init__(
        self, board: Board, nodes: Nodes, statuses: StatusWriter, fabric: FabricControl | None,
        catch_up: Callable[[], None], overlay_ip_version: int = 4, patience: float = 75.0,
    ) -> None:  # fmt: skip
        """``patience``: seconds that switches have to come back before agents may have their ports."""
        self._board, self._nodes, self._statuses, self._fabric = board, nodes, statuses, fabric
        self._catch_up, self._overlay = catch_up, overlay_ip_version
        self._patience = patience
        self._told: dict[str, tuple[NodeFacts, Observation]] = {}
        self._withheld: dict[str, dict[str, float]] = {}
        """Node -> ports that it sees and a switch has -> when that was found last."""

    def told_by(self, node_id: str) -> tuple[NodeFacts, Observation] | None:
        """What a switch said of itself last, without what is declared of it."""
        return self._told.get(node_id)

    def observed(self, facts: NodeFacts, observation: Observation) -> None:
        """Record facts and endpoints of a node and ask it to follow."""
        state = self._board.state(facts.id)
        if facts.kind is NodeKind.SWITCH:
            self._told[facts.id] = facts, observation
            said = self._board.intent.switches.get(facts.id)
            last = state.told.uplinks if state.told else self._uplinks_before(facts.id)
            facts, observation = described(facts, observation, said, last)
        facts = within_overlay(facts, self._overlay)
        known = self._says_nothing_new(facts)
        news = not known and self._nodes.node_seen(facts) != self._board.intent.nodes.get(facts.id)
        if self._plugs_moved(state, facts, observation) or news:
            self._catch_up()
        came_back = not state.connected
        self._observe(state, observation)
        if known and came_back and state.is_switch:
            state.last_seen = float("-inf")  # the store hears of it with the next heartbeats, of all nodes at once

    def declared_otherwise(self, node_id: str) -> None:
        """What operators declare of a switch changed."""
        told, state = self._told.get(node_id), self._board.known(node_id)
        if told is not None and state is not None and state.connected:
            self.observed(*told)

    def lost(self, node_id: str) -> None:
        """The node is not connected any more; its ports are DOWN, its peers go on as they are."""
        with self._board.changed:
            state = self._board.state(node_id)
            if state.connected and state.is_switch:
                state.last_seen = self._board.clock()
            state.connected = False
            state.tell()
        if self._fabric is not None:
            self._fabric.lost(node_id)
        self._nodes.node_lost(node_id)
        self._statuses.node_moved(node_id, self._board.tick)
        self._statuses.node_changed(node_id)

    def follow_links(self, before: Mapping[str, Port | None]) -> None:
        """Find out again where changed ports are plugged in that say so themselves; ``before``: as they were."""
        changed: dict[str, set[str]] = defaultdict(set)
        for port_id, old in before.items():
            for port in (old, self._board.intent.ports.get(port_id)):
                if port is not None and port.local_links and port.binding is not None:
                    changed[port.binding.node_id].add(port_id)
        for node_id, port_ids in changed.items():
            state = self._board.known(node_id)
            if state is not None and state.told is not None and state.observation is not None:
                self._link_again(state, state.told, state.observation, port_ids)

    def _link_again(self, state: NodeState, told: Observation, seen: Observation, port_ids: Set[str]) -> None:
        attachments, links = dict(seen.attachments), self._board.intent.links_on(state.node_id)
        for port_id in port_ids:
            attachments.pop(port_id, None)
            if port_id in told.attachments:
                attachments[port_id] = told.attachments[port_id]
        named = {port_id: links[port_id] for port_id in port_ids if port_id in links}
        state.observation = seen.plugged({**attachments, **linked(told, named, state.port_numbers)})
        if self._fabric is not None and state.connected:
            self._fabric.observed(state.observation)

    def _uplinks_before(self, node_id: str) -> Mapping[str, int]:
        return self._fabric.uplinks_before(node_id) if self._fabric is not None else {}

    def _says_nothing_new(self, facts: NodeFacts) -> bool:
        """Whether the store knows these facts already, and no port waits for the node to be bound to it."""
        intent = self._board.intent
        node = intent.nodes.get(facts.id)
        return node is not None and node.said(facts) and not intent.is_wished_for(facts.id, facts.host)

    def _plugs_moved(self, state: NodeState, facts: NodeFacts, observation: Observation) -> bool:
        """Tell the store which ports came and went; whether there were any that it did not know of."""
        before = state.told.attachments if state.told else {}
        if not before and not observation.attachments:
            return False  # so it is with switches without OVSDB
        came, withheld = self._came(before.keys(), facts, observation)
        for port_id in came:
            self._nodes.port_plugged(port_id, facts.id)
        self._withheld[facts.id] = withheld
        gone = before.keys() - observation.attachments.keys()
        for port_id in gone:
            if self._nodes.port_unplugged(port_id, facts.id):
                self._plugged_elsewhere(port_id, facts.id)
        return bool(came or gone)

    def _plugged_elsewhere(self, port_id: str, node_id: str) -> None:
        """A port that became free may still be plugged into another node: it was to move, and did not."""
        for state in self._board.states():
            if state.node_id != node_id and state.connected and state.told and port_id in state.told.attachments:
                self._nodes.port_plugged(port_id, state.node_id)
                return

    def _came(
        self, before: Set[str], facts: NodeFacts, observation: Observation
    ) -> tuple[list[str], dict[str, float]]:
        """The ports to be bound to the node because they are plugged in now, and those that are a switch's."""
        known, now = self._withheld.get(facts.id, {}), self._board.clock()
        came, withheld = [], {}
        for port_id in observation.attachments.keys() - (before - known.keys()):
            if self._is_bound(port_id, facts):
                continue
            if self._is_a_switchs(port_id, facts, now):
                withheld[port_id] = now
            elif now - known.get(port_id, float("-inf")) < DOUBT:
                withheld[port_id] = known[port_id]
            else:
                came.append(port_id)
        return came, withheld

    def _is_a_switchs(self, port_id: str, facts: NodeFacts, now: float) -> bool:
        """Whether what an agent sees of a port is the interface that a switch on the same host has: a tap in Open
        vSwitch is a tap of the host too."""
        port = self._board.intent.ports.get(port_id)
        if facts.kind is NodeKind.SWITCH or port is None or port.binding is None:
            return False
        node, state = self._board.intent.nodes.get(port.binding.node_id), self._board.known(port.binding.node_id)
        if node is None or node.kind is not NodeKind.SWITCH or node.host != facts.host:
            return False
        if state is None or state.told is None:
            return now - self._board.started < self._patience
        return port_id in state.told.attachments and (state.connected or now - state.last_seen < self._patience)

    def _is_bound(self, port_id: str, facts: NodeFacts) -> bool:
        """Whether the port is known to be bound to the node that it was plugged into: the store need not be asked."""
        port = self._board.intent.ports.get(port_id)
        return (port is not None and port.binding is not None and port.binding.node_id == facts.id
                and port.host == facts.host)  # fmt: skip

    def _observe(self, state: NodeState, told: Observation) -> None:
        with self._board.changed:
            came_back, old = not state.connected, state.observation
            state.connected, state.last_seen = True, self._board.clock()
            observation, state.port_numbers = told, numbers_of(told.switch_ports)
            if told.switch_ports:
                found = linked(told, self._board.intent.links_on(state.node_id), state.port_numbers)
                observation = told.plugged({**told.attachments, **found})
            state.told, state.observation = told, observation
            if self._fabric is not None and state.is_switch:
                self._fabric.observed(observation)
            if came_back or old != observation:
                tick = self._board.touch({state.node_id: None} if state.is_switch else {})
                if came_back:
                    self._statuses.node_moved(state.node_id, tick)
                else:
                    self._statuses.plugged(_moved(old, observation), tick)


def _moved(old: Observation | None, new: Observation) -> Set[str]:
    """The ports whose endpoints changed; all there are when the node's ways out did."""
    if old is None:
        return new.attachments.keys()
    before = old.attachments
    ports = before.keys() | new.attachments.keys()
    if (old.uplinks, old.tunnel_ports) != (new.uplinks, new.tunnel_ports):
        return ports
    return {port_id for port_id in ports if before.get(port_id) != new.attachments.get(port_id)}
