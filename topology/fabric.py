"""The fabric: discovery, paths and trees put together; one view per switch, recomputed when a link changes.

Time is an argument. Single-threaded: the controller guards it by a lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from controller.model import PHYSICAL_TYPES, Fabric, Segment
from topology.attachment import Attachments, Host, clouds
from topology.cabling import Cabling
from topology.discovery import Discovery, Pace, Probing
from topology.events import EventLog
from topology.graph import MOST_ALTERNATIVES, Paths, behind, ports_by_switch, spanning_forest
from topology.learning import Learning, Limits
from topology.links import End, Link, PortState, Role
from topology.lldp import Neighbour
from topology.memory import NOTHING as NOTHING_RECALLED
from topology.memory import Memory
from topology.view import Places, Tree, fabric_of
from topology.waves import PATIENCE, Waves, Ways, centre_of, together

NOTHING = Fabric()

HANDOVER = 0.3
"""Seconds in which switches take up a change before the next is asked of them. Between taking parts of a tree out of
use and using others in their place: never both at once, so that there is no loop while switches change one after the
other. And between a link's coming up and unicast's taking it."""


@dataclass(frozen=True, slots=True)
class Options:
    """``fast_failover``: whether switches get alternatives that they take by themselves when a port goes down.
    ``addresses`` limits what is learned of addresses that nobody manages. ``first_probe``: see
    :class:`topology.discovery.Discovery`."""

    fast_failover: bool = True
    addresses: Limits = field(default_factory=Limits)
    first_probe: int = 0


DEFAULTS = Options()


class Topology:
    """All switches and the physical networks that their links carry, each with its range of VLAN ids."""

    def __init__(
        self, key: bytes, pace: Pace, physical_networks: Mapping[str, tuple[int, int]], events: EventLog,
        options: Options = DEFAULTS,
    ) -> None:  # fmt: skip
        self.discovery = Discovery(key, pace, events, options.first_probe)
        self.learning = Learning(events, options.addresses)
        self.paths = Paths(MOST_ALTERNATIVES if options.fast_failover else 1)
        self._tags = dict(physical_networks)
        self._uplinks: dict[str, Mapping[str, int]] = {}
        self._views: dict[str, Fabric] = {}
        self._trees: dict[str, Tree] = dict.fromkeys(self._tags, Tree())
        self._links: frozenset[Link] = frozenset()
        self._fresh: dict[Link, float] = {}
        """Links that carry nothing yet though they could, with the time from which they may."""
        self._waves = Waves()
        self._ordered = True
        """Whether switches have programs already, so that an order matters."""
        self._link_ports: dict[str, tuple[int, ...]] = {}
        self._attachments = Attachments(events)
        self._places = Places()
        self._handover_at: float | None = None
        self._behind: dict[str, dict[str, dict[int, frozenset[str]]]] = {name: {} for name in self._tags}
        """Physical network -> what is behind the ports of its tree, as of :func:`topology.graph.behind`."""
        self._recalled = NOTHING_RECALLED
        self._unseen: frozenset[Link] = frozenset()
        """Links from before a restart that have not been found again."""
        self._stale = False

    def recall(self, memory: Memory) -> None:
        """What was in use before a restart; it is preferred until somebody has a program from here."""
        self._recalled, self._unseen, self._ordered = memory, memory.links, False
        self._attachments.place(memory.places)

    @property
    def memory(self) -> Memory | None:
        """What must be remembered over a restart; None while nobody has a program from here."""
        return Memory(self._links, dict(self._trees), self._attachments.places) if self._ordered else None

    def uplinks_before(self, node_id: str) -> dict[str, int]:
        """The uplinks by physical network that broadcast took at a switch before a restart."""
        hosts = set(self._recalled.places.values())
        return {name: end.port for name, tree in self._recalled.trees.items()
                for end in tree.uplinks - hosts if end.node_id == node_id}  # fmt: skip

    def awaits_links(self) -> bool:
        """Whether a link from before a restart may be found any moment: its ports are up and nobody else is there."""
        self._unseen -= self._links
        return any(all(self._is_up(end) and self._is_free(end) and self.discovery.peer(end) in (None, other)
                       for end, other in (each, (each.b, each.a))) for each in self._unseen)  # fmt: skip

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
        """A switch as it is now; returns the switches whose view changed. What tenants plug costs nothing here."""
        before = self.discovery.ports(node_id)
        self.discovery.switch(node_id, ports, now)
        mine = {name: port for name, port in uplinks.items() if name in self._tags}
        for number in [number for number in ports.keys() | before.keys() if before.get(number) != ports.get(number)]:
            self._port_changed(End(node_id, number), now)
        if self._uplinks.get(node_id) != mine:
            self._uplinks[node_id] = mine
            self._stale = True
        return self._settle(now)

    def switch_lost(self, node_id: str, now: float) -> set[str]:
        """The session with a switch ended."""
        self.discovery.switch_lost(node_id, now)
        return self._settle(now)

    def port(self, end: End, up: bool, now: float) -> set[str]:
        """A port's link went up or down."""
        self.discovery.port(end, up, now)
        self._port_changed(end, now)
        return self._settle(now)

    def _port_changed(self, end: End, now: float) -> None:
        """A port is not what it was: that matters where it led out, or where something is known to be behind it."""
        if self._is_up(end):
            self._attachments.came_up(end, now)
        attached = end.port in self._attachments.ports(end.node_id)
        leads_out = attached or end.port in self._uplinks.get(end.node_id, {}).values()
        self._stale = self._stale or leads_out or self.learning.is_behind(end)

    def host(self, node_id: str, name: str, interfaces: Mapping[str, str], key: bytes, now: float) -> set[str]:
        """A legacy host, by the name that its agent announces with ``key``; ``interfaces`` are its uplinks by physical
        network."""
        if self._attachments.host(name, Host(node_id, dict(interfaces), key)):
            self._stale = True
            for seen in self.discovery.strangers:
                if seen.neighbour.system_name == name and self._attachments.believes(seen.neighbour):
                    self._attach(seen.end, seen.neighbour, now)
        return self._settle(now)

    def frame(self, end: End, data: bytes, now: float) -> set[str]:
        """An LLDP frame came in."""
        seen = self.discovery.frame(end, data, now)
        if seen is not None:
            self._attach(end, seen, now)
        # New links are no hurry: those of one turn are taken together. What is gone is taken at once.
        return set() if self._links <= self.discovery.links and not self._stale else self._settle(now)

    def _attach(self, end: End, seen: Neighbour, now: float) -> None:
        """An agent of ours may have spoken at a port. What is heard by an uplink is somewhere in the cloud."""
        state = self.discovery.state(end)
        if seen.announcement is None or state is None or state.role is not Role.FREE:
            return
        self._stale = self._attachments.heard(end, seen, seen.announcement, now) or self._stale

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
        if owner == end.node_id or self._places.hosts.get(owner) == end:
            return True
        tenant = state is not None and state.role is Role.TENANT
        return not tenant and owner not in self._places.hosts and owner not in self.paths

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
        gone, moved = self._links - links, {end.node_id for each in self._links ^ links for end in each}
        self._welcome(links - self._links, now)
        self._links, self._stale = links, False
        self._fresh = {each: at for each, at in self._fresh.items()
                       if each in links and each not in ripe and not (gone and now >= at)}  # fmt: skip
        affected, ends = self.paths.update(self._uplinks, links - self._fresh.keys())
        if moved:
            self._link_ports = ports_by_switch(links)
        exits, places = self._exits(), self._places
        moved |= self._replant(now)
        self._place()
        same = (exits, places) == (self._exits(), self._places)
        changed = self._look(affected, ends, moved if same else self.paths.switches)
        self.learning.keep(self._learns)
        taught = self.paths.switches if self.learning.flush(now, self.discovery.away) else list(changed)
        return self._stage(changed, frozenset() if gone else ripe, now) | self._teach(taught)

    def _exits(self) -> dict[str, frozenset[End]]:
        return {name: tree.uplinks for name, tree in self._trees.items()}

    def _replant(self, now: float) -> set[str]:
        """Choose the trees anew; returns the switches behind whose ports there is something else than before."""
        before, moved = {name: tree.links for name, tree in self._trees.items()}, set()
        self._plant(now)
        for name, tree in self._trees.items():
            if tree.links != before[name]:
                old, new = self._behind[name], behind(tree.links)
                moved |= {node for node in old.keys() | new.keys() if old.get(node) != new.get(node)}
                self._behind[name] = new
        return moved

    def _look(
        self, affected: Mapping[str, Collection[str]], ends: Collection[str], others: Collection[str]
    ) -> dict[str, Fabric]:
        """Take the new views of those whose paths may have changed, and of ``others``; returns those that switches had
        until now whose view changed."""
        changed = {}
        for node_id in sorted({*affected, *ends, *others}):
            if node_id not in self.paths:
                continue
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
        if self._ordered:
            self._fresh |= dict.fromkeys(set(new) - self.paths.joining(new), now + HANDOVER)

    def _see(self, node_id: str, old: Fabric, measured: Collection[str] | None) -> Fabric:
        links = self._link_ports.get(node_id, ())
        return fabric_of(
            node_id, self.paths, self._trees, old, measured, self._tags, self._places, self._behind, links
        )

    def _plant(self, now: float) -> None:
        """Choose the trees; where something in use must give way to something new, only the first now."""
        for name in self._tags:
            uplinks = self._ways_out(name)
            old = self._trees[name]
            first = old if self._ordered else self._recalled.trees.get(name, old)
            wanted = Tree(*spanning_forest(self._links, uplinks, first.links, first.uplinks))
            usable = Tree(self._links, frozenset(end for end, _ in uplinks))
            if not self._ordered:
                self._trees[name] = wanted
            elif old.common(usable).without(wanted) and wanted.without(old):
                self._trees[name] = old.common(wanted)
                self._handover_at = now + HANDOVER
            elif self._handover_at is None or not wanted.without(old):
                self._trees[name] = wanted

    def _ways_out(self, name: str) -> list[tuple[End, str]]:
        """The ports into a physical network with what is behind each: the network's one legacy cloud, or a legacy host
        of ours that is cabled to the port itself, as its agent's LLDP tells."""
        declared = {End(node, mine[name]): name for node, mine in self._uplinks.items() if name in mine}
        hosts = self._sockets(name)
        return sorted((end, cloud) for end, cloud in {**dict(clouds(hosts)), **declared}.items() if self._is_up(end))

    def _sockets(self, name: str) -> dict[End, set[str]]:
        """Free switch ports with the legacy hosts that have their uplink into a physical network there."""
        linked = {end for each in self._links for end in each}
        return {end: behind for end, behind in self._attachments.behind(name).items()
                if end not in linked and self._is_free(end)}  # fmt: skip

    def _is_up(self, end: End) -> bool:
        state = self.discovery.state(end)
        return state is not None and state.up

    def _is_free(self, end: End) -> bool:
        state = self.discovery.state(end)
        return state is not None and state.role is Role.FREE

    def _place(self) -> None:
        """Where legacy hosts are, if they are at one port for all their physical networks."""
        seen: dict[str, set[End]] = {}
        behind: dict[End, set[str]] = {}
        for name, tree in self._trees.items():
            for end, hosts in self._attachments.behind(name).items():
                if end in tree.uplinks and self._is_free(end):
                    behind.setdefault(end, set()).update(hosts)
        for end, hosts in behind.items():
            for node_id in hosts:
                seen.setdefault(node_id, set()).add(end)
        hosts_at = {node_id: next(iter(ends)) for node_id, ends in seen.items() if len(ends) == 1}
        alone = frozenset(end for end, hosts in behind.items() if len(hosts) == 1 and hosts <= hosts_at.keys())
        self._places = Places(hosts_at, alone)

    def carries(self, segment: Segment) -> bool:
        """Whether links carry a segment."""
        first, last = self._tags.get(segment.physical_network or "", (1, 0))
        return segment.network_type in PHYSICAL_TYPES and first <= (segment.segmentation_id or 0) <= last

    def path(self, source: str, target: str) -> list[str]:
        """The nodes from one to the other that unicast takes, switches or legacy hosts that are cabled to one; empty
        if links do not join them."""
        near, far = (self._places.hosts.get(node_id) for node_id in (source, target))
        switches = self.paths.path(near.node_id if near else source, far.node_id if far else target)
        if not switches or switches[0] not in self.paths:
            return []
        return [*([source] if near else []), *switches, *([target] if far else [])]

    def cabling(self) -> Cabling:
        """What is cabled to what just now."""
        links = {end: other for a, b in self._links for end, other in ((a, b), (b, a))}
        sockets = {name: {end: frozenset(hosts) for end, hosts in self._sockets(name).items()} for name in self._tags}
        entrances = {name: frozenset(node for node, mine in self._uplinks.items() if name in mine)
                     for name in self._tags}  # fmt: skip
        return Cabling(links, sockets, entrances)

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
