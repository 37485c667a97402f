"""The switches as a graph: who reaches whom over which port, and the tree that broadcast follows.

networkx stays in this module. What leaves it are the values of :mod:`topology.links` and plain mappings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from heapq import heapify, heappop, heappush

import networkx as nx

from topology.links import End, Link

MOST_ALTERNATIVES = 3
"""Ports of a fast-failover group at most."""

BEYOND = 1 << 30
"""A distance that no way has."""


class Paths:
    """Shortest paths between switches, kept up to date link by link.

    For each destination the distances of all switches are kept. A link event walks only over those switches whose
    distance to a destination it changes. ``alternatives`` is how many ports there may be towards a destination.
    """

    def __init__(self, alternatives: int = MOST_ALTERNATIVES) -> None:
        self._alternatives = alternatives
        self._links: set[Link] = set()
        self._adjacent: dict[str, dict[Link, str]] = {}
        """Switch -> its links, each with the switch at the other end."""
        self._distances: dict[str, dict[str, int]] = {}
        """Destination -> switch that reaches it -> number of links."""
        self.recomputed = 0
        """Distances that were computed anew, since the start: what link events cost."""
        self._affected: dict[str, set[str]] = {}
        self._parts: dict[str, frozenset[str]] = {}
        """Switch -> all that it reaches, as far as that was asked since the last update; ``_former``: before it."""
        self._former: dict[str, frozenset[str]] = {}

    @property
    def switches(self) -> list[str]:
        """All switches, ordered."""
        return sorted(self._adjacent)

    def __contains__(self, node: str) -> bool:
        return node in self._adjacent

    def update(self, switches: Iterable[str], links: Iterable[Link]) -> tuple[dict[str, set[str]], set[str]]:
        """Make the graph consist of these switches and links (between different switches).

        Returns, by switch, the destinations to which the distance of it or of a neighbour changed, and the switches
        whose links may have changed: the next hops of all other pairs are what they were.
        """
        wanted, nodes = set(links), set(switches)
        nodes |= {end.node_id for each in wanted for end in each}
        self._affected = {}
        ends = {end.node_id for each in wanted ^ self._links for end in each} | (nodes ^ self._adjacent.keys())
        for node in nodes - self._adjacent.keys():
            self._adjacent[node], self._distances[node] = {}, {node: 0}
        for gone in sorted(self._links - wanted):
            self._remove(gone)
        for node in self._adjacent.keys() - nodes:
            del self._adjacent[node], self._distances[node]
        for new in sorted(wanted - self._links):
            self._add(new)
        if self._affected or ends:
            self._former |= self._parts
            self._parts = {}
        return self._affected, ends

    def component(self, node: str) -> frozenset[str]:
        """The switches that a switch reaches, itself among them; the same object for all of them."""
        if node not in self._distances:
            return frozenset({node})
        if node not in self._parts:
            part = frozenset(self._distances[node])
            old = self._former.get(node)
            self._parts |= dict.fromkeys(part, old if old == part else part)
        return self._parts[node]

    def joining(self, new: Iterable[Link]) -> set[Link]:
        """Of new links one for each two parts of the graph that had no way to each other."""
        forest: nx.utils.UnionFind[str] = nx.utils.UnionFind()
        found = set()
        for each in sorted(new):
            one, other = (min(self.component(end.node_id)) for end in each)
            if forest[one] != forest[other]:
                forest.union(one, other)
                found.add(each)
        return found

    def distance(self, targets: Iterable[str], node: str) -> int:
        """Links from a switch to the nearest of ``targets``; more than any way has where it reaches none."""
        beyond = len(self._adjacent)
        return min((self._distances.get(target, {}).get(node, beyond) for target in targets), default=beyond)

    def next_hops(self, node: str, target: str) -> tuple[int, ...]:
        """Ports of ``node`` towards ``target``, the best first; the others serve when those before are down.

        Of equally short ways each destination takes its own, so that traffic is spread. Alternatives are the other
        equally short ways, then neighbours that are no farther from the target (loop-free alternates, RFC 5286: their
        own shortest ways do not come back).
        """
        distance = self._distances.get(target, {})
        own = distance.get(node)
        if own is None or node == target:
            return ()
        ranked = []
        for each, far in self._adjacent[node].items():
            if distance[far] <= own:
                ranked.append((distance[far], _rank(target, each), _near(each, node).port))
        return tuple(port for _, _, port in sorted(ranked)[: self._alternatives])

    def path(self, source: str, target: str) -> list[str]:
        """The switches from source to target that traffic takes; empty if there is no way."""
        if target not in self.component(source):
            return []
        found = [source]
        while found[-1] != target:
            port = self.next_hops(found[-1], target)[0]
            found.append(next(far for each, far in self._adjacent[found[-1]].items()
                              if _near(each, found[-1]).port == port))  # fmt: skip
        return found

    def _add(self, new: Link) -> None:
        a, b = new.a.node_id, new.b.node_id
        self._links.add(new)
        self._adjacent[a][new], self._adjacent[b][new] = b, a
        for target, distance in self._distances.items():
            one, other = distance.get(a, BEYOND), distance.get(b, BEYOND)
            if abs(one - other) > 1:
                self._shorten(target, distance, b if one < other else a, min(one, other) + 1)

    def _remove(self, gone: Link) -> None:
        a, b = gone.a.node_id, gone.b.node_id
        self._links.remove(gone)
        del self._adjacent[a][gone], self._adjacent[b][gone]
        if b in self._adjacent[a].values():
            return
        for target, distance in self._distances.items():
            one, other = distance.get(a, BEYOND), distance.get(b, BEYOND)
            if one != other:
                orphans = self._orphans(distance, a if one > other else b)
                if orphans:
                    self._find_again(target, distance, orphans)

    def _shorten(self, target: str, distance: dict[str, int], start: str, steps: int) -> None:
        """A switch has become as near as ``steps``; others may be nearer by it."""
        layer = {start}
        while layer:
            following: set[str] = set()
            for node in layer:
                distance[node] = steps
                self._changed(target, node)
            for node in layer:
                following.update(far for far in self._adjacent[node].values() if distance.get(far, BEYOND) > steps + 1)
            layer, steps = following, steps + 1

    def _orphans(self, distance: Mapping[str, int], start: str) -> set[str]:
        """Switches that lose every shortest way when this one has lost one: layer by layer those without a neighbour
        that is nearer and keeps its own."""
        orphans: set[str] = set()
        layer, steps = {start}, distance[start]
        while layer:
            lost = {node for node in layer
                    if not any(distance.get(far) == steps - 1 and far not in orphans
                               for far in self._adjacent[node].values())}  # fmt: skip
            orphans |= lost
            layer = {far for node in lost for far in self._adjacent[node].values() if distance.get(far) == steps + 1}
            steps += 1
        return orphans

    def _find_again(self, target: str, distance: dict[str, int], orphans: set[str]) -> None:
        """Find the ways of those who lost theirs, nearest first, from those who did not."""
        for node in orphans:
            del distance[node]
            self._changed(target, node)
        waiting = [(distance[far] + 1, node) for node in orphans for far in self._adjacent[node].values()
                   if far in distance]  # fmt: skip
        heapify(waiting)
        while waiting:
            steps, node = heappop(waiting)
            if node in distance:
                continue
            distance[node] = steps
            for far in self._adjacent[node].values():
                if far not in distance:
                    heappush(waiting, (steps + 1, far))

    def _changed(self, target: str, node: str) -> None:
        self.recomputed += 1
        for near in (node, *self._adjacent[node].values()):
            self._affected.setdefault(near, set()).add(target)


def spanning_forest(
    links: Iterable[Link],
    uplinks: Iterable[tuple[End, str]],
    keep: Iterable[Link] = (),
    keep_uplinks: Iterable[End] = (),
) -> tuple[frozenset[Link], frozenset[End]]:
    """The links and uplinks that broadcast of one physical network takes: a forest over switches and clouds.

    ``uplinks`` are (end, cloud); a legacy cloud is one node, however many uplinks it has. Links come before uplinks,
    so that switches that are joined by links use one uplink per cloud and nothing goes through a cloud that needs
    not. Links and uplinks to ``keep`` come first: the tree changes only where it must.
    """
    forest: nx.utils.UnionFind[str] = nx.utils.UnionFind()
    kept, kept_uplinks = set(keep), set(keep_uplinks)
    chosen = []
    for each in sorted(set(links), key=lambda each: (each not in kept, each)):
        if forest[each.a.node_id] != forest[each.b.node_id]:
            forest.union(each.a.node_id, each.b.node_id)
            chosen.append(each)
    entrances = []
    for end, cloud in sorted(uplinks, key=lambda item: (item[0] not in kept_uplinks, item)):
        if forest[end.node_id] != forest[_cloud(cloud)]:
            forest.union(end.node_id, _cloud(cloud))
            entrances.append(end)
    return frozenset(chosen), frozenset(entrances)


def ports_by_switch(links: Iterable[Link]) -> dict[str, tuple[int, ...]]:
    """The ports of each switch that have a link."""
    found: dict[str, list[int]] = {}
    for end in (end for each in links for end in each):
        found.setdefault(end.node_id, []).append(end.port)
    return {node: tuple(sorted(ports)) for node, ports in found.items()}


def behind(tree: Iterable[Link]) -> dict[str, dict[int, frozenset[str]]]:
    """Switch -> its ports in a forest -> the switches that broadcast reaches through each."""
    ports: dict[str, dict[str, int]] = {}
    for each in tree:
        for near, far in (each, (each.b, each.a)):
            ports.setdefault(near.node_id, {})[far.node_id] = near.port
    found: dict[str, dict[int, frozenset[str]]] = {}
    for root in ports:
        if root not in found:
            found |= _behind_from(root, ports)
    return found


def _behind_from(root: str, ports: Mapping[str, Mapping[str, int]]) -> dict[str, dict[int, frozenset[str]]]:
    above = {root: ""}
    order = [root]
    for node in order:
        for far in ports[node]:
            if far != above[node]:
                above[far] = node
                order.append(far)
    below: dict[str, frozenset[str]] = {}
    for node in reversed(order):
        below[node] = frozenset({node}).union(*(below[far] for far in ports[node] if far != above[node]))
    return {node: {port: below[root] - below[node] if far == above[node] else below[far]
                   for far, port in ports[node].items()} for node in order}  # fmt: skip


def _cloud(name: str) -> str:
    return f"cloud:{name}"


def _near(each: Link, node: str) -> End:
    return each.a if each.a.node_id == node else each.b


@lru_cache(maxsize=1 << 17)
def _rank(target: str, each: Link) -> bytes:
    """Highest random weight: each destination has its own order of links, whatever other links there are. Both ends
    order them alike, so that two switches that send to each other for a moment do so by one of their parallel cables,
    and neither sends a frame back."""
    return blake2b(f"{target} {each}".encode(), digest_size=8).digest()
