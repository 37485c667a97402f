"""The fabric: discovery, paths and trees put together; one view per switch, recomputed when a link changes.

Time is an argument. Single-threaded: the controller guards it by a lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from controller.model import Fabric
from topology.discovery import Discovery, Pace, Probing
from topology.events import EventLog
from topology.graph import Paths, spanning_forest
from topology.links import End, Link, PortState
from topology.view import Tree, fabric_of

NOTHING = Fabric()

HANDOVER = 0.3
"""Seconds between taking parts of a tree out of use and using others in their place: never both at once, so that
there is no loop while switches change one after the other."""


class Topology:
    """All switches and the physical networks that their links carry, each with its range of VLAN ids."""

    def __init__(
        self, key: bytes, pace: Pace, physical_networks: Mapping[str, tuple[int, int]], events: EventLog
    ) -> None:
        self.discovery = Discovery(key, pace, events)
        self.paths = Paths()
        self._tags = dict(physical_networks)
        self._uplinks: dict[str, Mapping[str, int]] = {}
        self._up: dict[End, bool] = {}
        self._views: dict[str, Fabric] = {}
        self._trees: dict[str, Tree] = dict.fromkeys(self._tags, Tree())
        self._links: frozenset[Link] = frozenset()
        self._handover_at: float | None = None
        self._stale = False

    def view(self, node_id: str) -> Fabric:
        """What a switch sees."""
        return self._views.get(node_id, NOTHING)

    @property
    def trees(self) -> Mapping[str, Tree]:
        """Physical network -> tree in use."""
        return self._trees

    def switch(self, node_id: str, ports: Mapping[int, PortState], uplinks: Mapping[str, int], now: float) -> set[str]:
        """A switch as it is now; returns the switches whose view changed."""
        self.discovery.switch(node_id, ports, now)
        mine = {name: port for name, port in uplinks.items() if name in self._tags}
        alive = {End(node_id, number): state.up for number, state in ports.items()}
        before = {end: up for end, up in self._up.items() if end.node_id == node_id}
        if self._uplinks.get(node_id) != mine or before != alive:
            self._uplinks[node_id] = mine
            self._up = {end: up for end, up in self._up.items() if end.node_id != node_id} | alive
            self._stale = True
        return self._settle(now)

    def switch_lost(self, node_id: str, now: float) -> set[str]:
        """The session with a switch ended."""
        self.discovery.switch_lost(node_id, now)
        return self._settle(now)

    def port(self, end: End, up: bool, now: float) -> set[str]:
        """A port's link went up or down."""
        self.discovery.port(end, up, now)
        if self._up.get(end, up) != up:
            self._up[end] = up
            self._stale = True
        return self._settle(now)

    def frame(self, end: End, data: bytes, now: float) -> set[str]:
        """An LLDP frame came in."""
        self.discovery.frame(end, data, now)
        return self._settle(now)

    def turn(self, now: float) -> tuple[list[Probing], set[str]]:
        """What is to be sent now, and the switches whose view changed by the passing of time."""
        probes = self.discovery.due(now)
        if self._handover_at is not None and now >= self._handover_at:
            self._handover_at, self._stale = None, True
        return probes, self._settle(now)

    def _settle(self, now: float) -> set[str]:
        links = self.discovery.links
        if links == self._links and not self._stale:
            return set()
        self._links, self._stale = links, False
        measured, ends = self.paths.update(self._uplinks, links)
        self._plant(now)
        changed = set()
        for node_id in self.paths.switches:
            old = self.view(node_id)
            new = self._see(node_id, old, None if node_id in ends else measured)
            if new is not old:
                self._views[node_id] = new
                changed.add(node_id)
        return changed

    def _see(self, node_id: str, old: Fabric, measured: Collection[str] | None) -> Fabric:
        return fabric_of(node_id, self.paths, self._trees, old, measured, self._tags)

    def _plant(self, now: float) -> None:
        """Choose the trees; where something in use must give way to something new, only the first now."""
        for name in self._tags:
            uplinks = [(End(node, mine[name]), name) for node, mine in self._uplinks.items()
                       if name in mine and self._up.get(End(node, mine[name]), False)]  # fmt: skip
            old = self._trees[name]
            wanted = Tree(*spanning_forest(self._links, uplinks, old.links, old.uplinks))
            usable = Tree(self._links, frozenset(end for end, _ in uplinks))
            if old.common(usable).without(wanted) and wanted.without(old):
                self._trees[name] = old.common(wanted)
                self._handover_at = now + HANDOVER
            elif self._handover_at is None or not wanted.without(old):
                self._trees[name] = wanted

    def rows(self) -> list[dict[str, Any]]:
        """The links as the API shows them: two-way ones, then what is heard one way only."""
        on_tree = {name: tree.links for name, tree in self._trees.items()}
        rows = [_row(each.a, each.b, "up", [name for name, links in on_tree.items() if each in links])
                for each in sorted(self._links)]  # fmt: skip
        return rows + [_row(sender, end, "one-way", []) for sender, end in self.discovery.one_way()]


def _row(a: End, b: End, state: str, trees: list[str]) -> dict[str, Any]:
    return {
        "a": {"switch": a.node_id, "port": a.port},
        "b": {"switch": b.node_id, "port": b.port},
        "state": state,
        "broadcast": trees,
    }
