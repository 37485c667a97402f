"""The fabric: discovery, paths and trees put together; one view per switch, recomputed when a link changes.

Time is an argument. Single-threaded: the controller guards it by a lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from controller.model import Fabric
from topology.discovery import Discovery, Pace, Probing
from topology.events import EventLog
from topology.graph import MOST_ALTERNATIVES, Paths, ports_by_switch, spanning_forest
from topology.learning import Learning, Limits
from topology.links import End, Link, PortState, Role
from topology.lldp import Announcement, Neighbour, genuine_announcement
from topology.view import Tree, fabric_of
from topology.waves import PATIENCE, Waves, Ways, centre_of, together

NOTHING = Fabric()

HANDOVER = 0.3
"""Seconds in which switches take up a change before the next is asked of them. Between taking parts of a tree out of
use and using others in their place: never both at once, so that there is no loop while switches change one after the
other. And between a link's coming up and unicast's taking it."""


@dataclass(frozen=True, slots=True)
class Host:
    """A legacy host: node id, its uplink interfaces by physical network, and the key of its announcements."""

    node_id: str
    interfaces: Mapping[str, str]
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """``fast_failover``: whether switches get alternatives that they take by themselves when a port goes down.
    ``addresses`` limits what is learned of addresses that nobody manages."""

    fast_failover: bool = True
    addresses: Limits = field(default_factory=Limits)


DEFAULTS = Options()


class Topology:
    """All switches and the physical networks that their links carry, each with its range of VLAN ids."""

    def __init__(
        self, key: bytes, pace: Pace, physical_networks: Mapping[str, tuple[int, int]], events: EventLog,
        options: Options = DEFAULTS,
    ) -> None:  # fmt: skip
        self.discovery = Discovery(key, pace, events)
        self.learning = Learning(events, options.addresses)
        self.paths = Paths(MOST_ALTERNATIVES if options.fast_failover else 1)
        self._tags = dict(physical_networks)
        self._uplinks: dict[str, Mapping[str, int]] = {}
        self._up: dict[End, bool] = {}
        self._views: dict[str, Fabric] = {}
        self._trees: dict[str, Tree] = dict.fromkeys(self._tags, Tree())
        self._links: frozenset[Link] = frozenset()
        self._fresh: dict[Link, float] = {}
        """Links that carry nothing yet though they could, with the time from which they may."""
        self._waves = Waves()
        self._ordered = True
        """Whether switches have programs already, so that an order matters."""
        self._link_ports: dict[str, tuple[int, ...]] = {}
        self._hosts: dict[str, Host] = {}
        self._attached: dict[End, tuple[str, str]] = {}
        self._announced: dict[tuple[str, str], tuple[int, End]] = {}
        self._placed: dict[str, End] = {}
        self._handover_at: float | None = None
        self._replanted: set[str] = set()
        self._stale = False

    def view(self, node_id: str) -> Fabric:
        """What a switch sees, as far as it may act on it by now."""
        newest, kept = self._newest(node_id), self._waves.ways(node_id)
        return newest if kept is None else kept.within(newest)

    def _newest(self, node_id: str) -> Fabric:
        return self._views.get(node_id, NOTHING)

    @property
    def awaited(self) -> Collection[str]:
        """The switches for whom others, or a new link, wait."""
        return {*self._waves.asked, *(end.node_id for each in self._fresh for end in each)}

    def between_clouds(self) -> list[str]:
        """The switches that may carry frames from one legacy cloud or host to another."""
        return [node_id for node_id, view in self._views.items()
                if any(tree.exits > 1 for tree in view.trees.values())]  # fmt: skip

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

    def host(self, node_id: str, name: str, interfaces: Mapping[str, str], key: bytes, now: float) -> set[str]:
        """A legacy host, by the name that its agent announces with ``key``; ``interfaces`` are its uplinks by physical
        network."""
        host = Host(node_id, dict(interfaces), key)
        if self._hosts.get(name) != host:
            self._hosts[name] = host
            self._stale = True
        return self._settle(now)

    def frame(self, end: End, data: bytes, now: float) -> set[str]:
        """An LLDP frame came in."""
        self.discovery.frame(end, data, now)
        seen = self.discovery.stranger(end)
        if seen is not None and seen.announcement is not None:
            self._attach(end, seen, seen.announcement, now)
        # New links are no hurry: those of one turn are taken together. What is gone is taken at once.
        return set() if self._links <= self.discovery.links and not self._stale else self._settle(now)

    def _attach(self, end: End, seen: Neighbour, said: Announcement, now: float) -> None:
        """An agent of ours may have spoken at a port: a frame that can be trusted places its host there."""
        who = (seen.system_name, seen.port)
        host, latest = self._hosts.get(seen.system_name), self._announced.get(who, (0, end))
        if host is None or not host.key or (said.sequence, end) == latest:
            return
        if not genuine_announcement(said, host.key) or said.sequence <= latest[0]:
            self.discovery.events.add(now, "forged", f"announcement of host '{seen.system_name}' at {end}")
            return
        self._announced[who] = (said.sequence, end)
        if self._attached.get(end) != who:
            self._attached = {other: its for other, its in self._attached.items() if its != who}
            self._attached[end] = who
            self._stale = True
            self.discovery.events.add(now, "attached", f"host '{seen.system_name}' by its {seen.port} at {end}")

    def source(self, end: End, network_id: str, mac: str, owner: str | None, now: float) -> None:
        """A frame from ``mac`` came in by a port at which its switch did not know it. ``owner``: the node where there
        is a port of ours with that address. The next :meth:`turn` takes it into account."""
        if not self._learns(end):
            return
        if owner is not None and not self._may_be_behind(owner, end):
            self.discovery.events.add(now, "impostor", f"frame from {mac} at {end}; the address belongs to {owner}")
        self.learning.heard(network_id, mac, end, owner is not None, now)

    def turn(self, now: float, behind: Collection[str] | None = ()) -> tuple[list[Probing], set[str]]:
        """What is to be sent now, and the switches whose view changed by the passing of time. ``behind``: those that
        have yet to follow what was asked of them; None while nobody has a program to lose anything by."""
        probes, self._ordered = self.discovery.due(now), behind is not None
        if self._handover_at is not None and now >= self._handover_at:
            self._handover_at, self._stale = None, True
        changed = self._waves.turn(behind or (), now) if self._ordered else self._waves.end()
        ripe = self._ripe(frozenset(behind or ()), now)
        self._stale = self._stale or bool(ripe)
        changed |= self._settle(now, ripe)
        if self.learning.flush(now, self.discovery.away):
            changed |= self._teach(self.paths.switches)
        return probes, changed

    def _learns(self, end: End) -> bool:
        """Whether frames of others may come in by a port: one in use that leads out, or a tenant's."""
        state = self.discovery.state(end)
        if state is None or not state.up:
            return False
        return state.role is Role.TENANT or any(end in tree.uplinks for tree in self._trees.values())

    def _may_be_behind(self, owner: str, end: End) -> bool:
        """Whether a legacy host may be heard at a port: at its own, or anywhere as long as its own is not known."""
        state = self.discovery.state(end)
        if owner == end.node_id or self._placed.get(owner) == end:
            return True
        tenant = state is not None and state.role is Role.TENANT
        return not tenant and owner not in self._placed and owner not in self.paths.switches

    def _teach(self, switches: Collection[str]) -> set[str]:
        """Put what was learned into the views; returns the switches whose view changed."""
        changed = set()
        for node_id in switches:
            old = self._newest(node_id)
            learned, known = self.learning.learned(old.members), self.learning.known(node_id)
            new = replace(old, learned=learned, known=known, muted=self.learning.muted(node_id))
            if new != old:
                self._views[node_id] = new
                changed.add(node_id)
        return changed

    def _ripe(self, behind: frozenset[str], now: float) -> frozenset[Link]:
        """The new links that are to come into use now: both their ends accept what comes by them."""
        ripe = frozenset(each for each, at in self._fresh.items() if now >= at + PATIENCE
                         or (now >= at and behind.isdisjoint(end.node_id for end in each)))  # fmt: skip
        if not self._ordered:
            return ripe
        return frozenset() if self._waves.running else together(ripe)

    def _settle(self, now: float, ripe: Collection[Link] = frozenset()) -> set[str]:
        links = self.discovery.links
        if links == self._links and not self._stale:
            return set()
        gone = self._links - links
        self._welcome(links - self._links, now)
        self._links, self._stale = links, False
        self._fresh = {each: at for each, at in self._fresh.items()
                       if each in links and each not in ripe and not (gone and now >= at)}  # fmt: skip
        affected, ends = self.paths.update(self._uplinks, links - self._fresh.keys())
        self._link_ports = ports_by_switch(links)
        before = {name: tree.links for name, tree in self._trees.items()}
        self._plant(now)
        self._replanted = {name for name, tree in self._trees.items() if tree.links != before[name]}
        self._place()
        changed = self._look(affected, ends)
        self.learning.keep(self._learns)
        self.learning.flush(now, self.discovery.away)
        return self._stage(changed, frozenset() if gone else ripe, now) | self._teach(self.paths.switches)

    def _look(self, affected: Mapping[str, Collection[str]], ends: Collection[str]) -> dict[str, Fabric]:
        """Take the new views; returns those that switches had until now whose view changed."""
        changed = {}
        for node_id in self.paths.switches:
            old = self._newest(node_id)
            new = self._see(node_id, old, None if node_id in ends else affected.get(node_id, ()))
            if new is not old:
                self._views[node_id], changed[node_id] = new, old
        return changed

    def _stage(self, changed: Mapping[str, Fabric], ripe: Collection[Link], now: float) -> set[str]:
        """Whose turn it is of those whose view changed: all of them, but for new ways by the links ``ripe``."""
        if not changed:
            return set()
        waited = self._waves.end()
        ordered = ripe and self._ordered
        if ordered and all(Ways.of(old).within(self._newest(node_id)) == old for node_id, old in changed.items()):
            return self._waves.start(changed, partial(self.paths.distance, centre_of(ripe)), now)
        return waited | changed.keys()

    def _welcome(self, new: Collection[Link], now: float) -> None:
        """A link whose ends reach each other without it waits until both have taken it up: else the first would send
        what the other does not accept yet, and lose what had a way."""
        self._fresh |= dict.fromkeys(set(new) - self.paths.joining(new), now + HANDOVER)

    def _see(self, node_id: str, old: Fabric, measured: Collection[str] | None) -> Fabric:
        links = self._link_ports.get(node_id, ())
        return fabric_of(
            node_id, self.paths, self._trees, old, measured, self._tags, self._placed, self._replanted, links
        )

    def _plant(self, now: float) -> None:
        """Choose the trees; where something in use must give way to something new, only the first now."""
        for name in self._tags:
            uplinks = self._ways_out(name)
            old = self._trees[name]
            wanted = Tree(*spanning_forest(self._links, uplinks, old.links, old.uplinks))
            usable = Tree(self._links, frozenset(end for end, _ in uplinks))
            if old.common(usable).without(wanted) and wanted.without(old):
                self._trees[name] = old.common(wanted)
                self._handover_at = now + HANDOVER
            elif self._handover_at is None or not wanted.without(old):
                self._trees[name] = wanted

    def _ways_out(self, name: str) -> list[tuple[End, str]]:
        """The ports into a physical network with what is behind each: the network's one legacy cloud, or a legacy host
        of ours that is cabled to the port itself, as its agent's LLDP tells."""
        declared = {End(node, mine[name]): name for node, mine in self._uplinks.items() if name in mine}
        linked = {end for each in self._links for end in each}
        found = {}
        for end, (host_name, interface) in self._attached.items():
            host = self._hosts.get(host_name)
            if host is not None and host.interfaces.get(name) == interface and end not in linked:
                found[end] = host.node_id
        return sorted((end, cloud) for end, cloud in {**declared, **found}.items() if self._up.get(end, False))

    def _place(self) -> None:
        """Where legacy hosts are, if they are at one port for all their physical networks."""
        seen: dict[str, set[End]] = {}
        for name, tree in self._trees.items():
            for end, cloud in self._ways_out(name):
                if end in tree.uplinks and cloud not in self._tags:
                    seen.setdefault(cloud, set()).add(end)
        self._placed = {node_id: next(iter(ends)) for node_id, ends in seen.items() if len(ends) == 1}

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
