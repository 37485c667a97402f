"""New links come into use in waves: the switches at the link first, those farther away when these have followed.

If all were asked at once, a switch might send to a neighbour that still sends back for the same destination, and what
comes in by a port does not leave by it: lost. In waves nothing is, whatever the order within one. The links of a wave
have a switch in common (the *centre*), so a shortest way takes new links in one place only, and every switch before
that place on such a way is farther from the centre than the next. A switch therefore changes over to a way on which
everybody has changed over, and all others are on the ways that were right before. Links that have no switch in common
come into use one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from controller.model import Fabric
from topology.links import Link

PATIENCE = 1.0
"""Seconds that switches farther away wait at most for those that are nearer: one that is stuck holds nobody up."""


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways of a view: towards switches, legacy hosts and, by physical network, out of the fabric."""

    next_hops: Mapping[str, tuple[int, ...]]
    hosts: Mapping[str, tuple[int, ...]]
    exits: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, view: Fabric) -> Ways:
        """Those of a view."""
        return cls(view.next_hops, view.hosts, {name: tree.exit for name, tree in view.trees.items()})

    def within(self, view: Fabric) -> Fabric:
        """A view with these ways instead of its own."""
        trees = {name: replace(tree, exit=self.exits.get(name, ())) for name, tree in view.trees.items()}
        return replace(view, next_hops=self.next_hops, hosts=self.hosts, trees=trees)


@dataclass
class Waves:
    """Who keeps which ways until the switches nearer to a new link have followed. Time is an argument."""

    _held: dict[str, Ways] = field(default_factory=dict)
    _distance: dict[str, int] = field(default_factory=dict)
    _asked: frozenset[str] = frozenset()
    """The switches of the present wave."""
    _until: float = 0.0

    @property
    def running(self) -> bool:
        """Whether a wave is waited for."""
        return bool(self._asked)

    @property
    def asked(self) -> Collection[str]:
        """Whom the next wave waits for."""
        return self._asked

    def ways(self, node_id: str) -> Ways | None:
        """The ways that a switch keeps for now; None: it may have the newest."""
        return self._held.get(node_id)

    def start(self, changed: Mapping[str, Fabric], distance: Callable[[str], int], now: float) -> set[str]:
        """These switches have new ways; ``changed`` are the views that they have. Returns the first wave."""
        self._held = {node_id: Ways.of(old) for node_id, old in changed.items()}
        self._distance = {node_id: distance(node_id) for node_id in changed}
        return self._next(now)

    def turn(self, behind: Collection[str], now: float) -> set[str]:
        """The next wave, if all of the present one but those ``behind`` have followed, or it is late."""
        if self.running and (now >= self._until or self._asked.isdisjoint(behind)):
            return self._next(now)
        return set()

    def end(self) -> set[str]:
        """Everybody may have the newest at once; returns those who waited."""
        waited = set(self._held)
        self._held, self._asked = {}, frozenset()
        return waited

    def _next(self, now: float) -> set[str]:
        nearest = min((self._distance[node_id] for node_id in self._held), default=0)
        self._asked = frozenset(node_id for node_id in self._held if self._distance[node_id] == nearest)
        self._held = {node_id: ways for node_id, ways in self._held.items() if node_id not in self._asked}
        self._until = now + PATIENCE
        return set(self._asked)


def together(links: Collection[Link]) -> frozenset[Link]:
    """Of new links those that may come into use together: all of one switch, the one with most of them."""
    count = Counter(end.node_id for each in links for end in each)
    centre = min(count, key=lambda node_id: (-count[node_id], node_id), default=None)
    return frozenset(each for each in links if centre in (each.a.node_id, each.b.node_id))


def centre_of(links: Collection[Link]) -> frozenset[str]:
    """The switches that these links have in common: with one link both its ends."""
    return frozenset.intersection(*(frozenset(end.node_id for end in each) for each in links))
