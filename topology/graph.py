"""The switches as a graph: who reaches whom over which port, and the tree that broadcast follows.

networkx stays in this module. What leaves it are the values of :mod:`topology.links` and plain mappings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

import networkx as nx

from topology.links import End, Link

MOST_ALTERNATIVES = 3
"""Ports of a fast-failover group at most."""


class Paths:
    """Shortest paths between switches, kept up to date link by link.

    For each destination the distances of all switches are kept. A link event recomputes those destinations only whose
    distances or next hops it can change: where the distances of its two ends differ (or one is not reached).
    ``alternatives`` is how many ports there may be towards a destination.
    """

    def __init__(self, alternatives: int = MOST_ALTERNATIVES) -> None:
        self._graph: nx.MultiGraph[str] = nx.MultiGraph()
        self._alternatives = alternatives
        self._distances: dict[str, dict[str, int]] = {}
        self.recomputed = 0
        """Destinations whose distances were computed anew, since the start: what link events cost."""
        self._affected: dict[str, set[str]] = {}

    @property
    def switches(self) -> list[str]:
        """All switches, ordered."""
        return sorted(self._graph)

    def __contains__(self, node: str) -> bool:
        return node in self._graph

    def update(self, switches: Iterable[str], links: Iterable[Link]) -> tuple[dict[str, set[str]], set[str]]:
        """Make the graph consist of these switches and links (between different switches).

        Returns, by switch, the destinations to which the distance of it or of a neighbour changed, and the switches
        whose links may have changed: the next hops of all other pairs are what they were.
        """
        wanted, nodes = set(links), set(switches)
        nodes |= {end.node_id for each in wanted for end in each}
        self._affected = {}
        ends = {end.node_id for each in wanted ^ self._edges() for end in each} | (nodes ^ set(self._graph))
        for node in nodes - set(self._graph):
            self._graph.add_node(node)
            self._distances[node] = {node: 0}
        for gone in sorted(self._edges() - wanted):
            self._remove(gone)
        for node in set(self._graph) - nodes:
            self._graph.remove_node(node)
            del self._distances[node]
        for new in sorted(wanted - self._edges()):
            self._add(new)
        return self._affected, ends

    def component(self, node: str) -> frozenset[str]:
        """The switches that a switch reaches, itself among them."""
        return frozenset(self._distances.get(node, {node: 0}))

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
        beyond = len(self._graph)
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
        for each in self._links_of(node):
            near, far = _near(each, node), _far(each, node)
            if distance[far.node_id] <= own:
                ranked.append((distance[far.node_id], _rank(target, each), near.port))
        return tuple(port for _, _, port in sorted(ranked)[: self._alternatives])

    def path(self, source: str, target: str) -> list[str]:
        """The switches from source to target that traffic takes; empty if there is no way."""
        if target not in self.component(source):
            return []
        found = [source]
        while found[-1] != target:
            port = self.next_hops(found[-1], target)[0]
            found.append(next(_far(each, found[-1]).node_id for each in self._links_of(found[-1])
                              if _near(each, found[-1]).port == port))  # fmt: skip
        return found

    def _edges(self) -> set[Link]:
        return {key for _, _, key in self._graph.edges(keys=True)}

    def _links_of(self, node: str) -> Iterator[Link]:
        return (key for _, _, key in self._graph.edges(node, keys=True))

    def _add(self, new: Link) -> None:
        self._graph.add_edge(new.a.node_id, new.b.node_id, key=new)
        for target, distance in self._distances.items():
            one, other = distance.get(new.a.node_id), distance.get(new.b.node_id)
            if one != other and (one is None or other is None or abs(one - other) > 1):
                self._measure(target)

    def _remove(self, gone: Link) -> None:
        self._graph.remove_edge(gone.a.node_id, gone.b.node_id, key=gone)
        if self._graph.has_edge(gone.a.node_id, gone.b.node_id):
            return
        for target, distance in self._distances.items():
            if distance.get(gone.a.node_id) != distance.get(gone.b.node_id):
                self._measure(target)

    def _measure(self, target: str) -> None:
        self.recomputed += 1
        old = self._distances[target]
        new = self._distances[target] = dict(nx.single_source_shortest_path_length(self._graph, target))
        for node in {node for node, _ in old.items() ^ new.items()}:
            for near in (node, *self._graph[node]) if node in self._graph else ():
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


def behind(tree: Iterable[Link], start: str) -> dict[int, frozenset[str]]:
    """Tree port of ``start`` -> the switches that broadcast reaches through it."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_edges_from((each.a.node_id, each.b.node_id, {"link": each}) for each in tree)
    if start not in graph:
        return {}
    found = {}
    edges = list(graph.edges(start, data="link"))
    graph.remove_node(start)
    for _, neighbour, each in edges:
        found[_near(each, start).port] = frozenset(nx.node_connected_component(graph, neighbour))
    return found


def _cloud(name: str) -> str:
    return f"cloud:{name}"


def _near(each: Link, node: str) -> End:
    return each.a if each.a.node_id == node else each.b


def _far(each: Link, node: str) -> End:
    return each.b if each.a.node_id == node else each.a


@lru_cache(maxsize=1 << 17)
def _rank(target: str, each: Link) -> bytes:
    """Highest random weight: each destination has its own order of links, whatever other links there are. Both ends
    order them alike, so that two switches that send to each other for a moment do so by one of their parallel cables,
    and neither sends a frame back."""
    return blake2b(f"{target} {each}".encode(), digest_size=8).digest()
