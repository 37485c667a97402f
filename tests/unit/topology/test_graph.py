"""Paths are the shortest, spread, and the same however the graph came about; trees span and never loop."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.topology.cabling import end
from topology.graph import Paths, behind, spanning_forest
from topology.links import End, Link, link

pairs = st.tuples(st.integers(1, 7), st.integers(1, 7)).filter(lambda pair: pair[0] != pair[1])


def cabled(wanted: list[tuple[int, int]]) -> list[Link]:
    """A link per pair, each with ports of its own."""
    return [link(end(one, 10 + place), end(other, 50 + place)) for place, (one, other) in enumerate(wanted)]


def as_graph(links: list[Link]) -> nx.MultiGraph:  # type: ignore[type-arg]
    graph = nx.MultiGraph()
    graph.add_edges_from((each.a.node_id, each.b.node_id) for each in links)
    return graph


@given(st.lists(pairs, max_size=14), st.lists(st.integers(0, 13), max_size=10))
def test_incremental_paths_are_those_of_a_fresh_start(wanted: list[tuple[int, int]], toggles: list[int]) -> None:
    links = cabled(wanted)
    present = set(links)
    paths = Paths()
    paths.update([], present)
    known = {(a, b): paths.next_hops(a, b) for a in paths.switches for b in paths.switches}
    for toggle in toggles:
        if links:
            present ^= {links[toggle % len(links)]}
        measured, ends = paths.update([], present)
        fresh = Paths()
        fresh.update([], present)
        assert paths.switches == fresh.switches
        now = {(a, b): fresh.next_hops(a, b) for a in fresh.switches for b in fresh.switches}
        assert now == {(a, b): paths.next_hops(a, b) for a in paths.switches for b in paths.switches}
        for (a, b), ports in now.items():
            assert ports == known.get((a, b), ()) or b in measured.get(a, ()) or a in ends
        known = now


@given(st.lists(pairs, min_size=1, max_size=14))
def test_paths_are_shortest_and_alternatives_never_come_back(wanted: list[tuple[int, int]]) -> None:
    links = cabled(wanted)
    paths, graph = Paths(), as_graph(links)
    paths.update([], links)
    peers = {each.a: each.b for each in links} | {each.b: each.a for each in links}
    for source in graph:
        distances = nx.single_source_shortest_path_length(graph, source)
        assert paths.component(source) == set(distances)
        for target in graph:
            found = paths.path(source, target)
            assert len(found) == distances.get(target, -1) + 1
            for port in paths.next_hops(source, target):
                away = peers[End(source, port)].node_id
                onwards = nx.shortest_path(graph, away, target)
                assert source not in onwards


def test_one_link_event_measures_few_destinations() -> None:
    """In a ring of a hundred, a chord between neighbours' neighbours changes the way to some, not to all."""
    links = cabled([(number, number % 100 + 1) for number in range(1, 101)])
    paths = Paths()
    paths.update([], links)
    spare = link(end(1, 1), end(2, 2))
    before = paths.recomputed
    paths.update([], [*links, spare])
    paths.update([], links)
    assert paths.recomputed == before


@given(st.lists(pairs, max_size=14), st.sets(st.integers(1, 7), max_size=4), st.data())
def test_trees_span_without_a_loop_and_keep_what_they_can(
    wanted: list[tuple[int, int]], places: set[int], data: st.DataObject
) -> None:
    links = cabled(wanted)
    uplinks = [(end(number, 90), data.draw(st.sampled_from(["one", "other"]))) for number in sorted(places)]
    kept = data.draw(st.sets(st.sampled_from(links))) if links else set()
    chosen, entrances = spanning_forest(links, uplinks, kept)
    everything = nx.Graph((each.a.node_id, each.b.node_id) for each in links)
    everything.add_edges_from((where.node_id, cloud) for where, cloud in uplinks)
    tree = nx.MultiGraph((each.a.node_id, each.b.node_id) for each in chosen)
    tree.add_edges_from((where.node_id, cloud) for where, cloud in uplinks if where in entrances)
    assert len(tree) == 0 or nx.is_forest(tree)
    assert {frozenset(part) for part in nx.connected_components(everything)} == {
        frozenset(part) for part in nx.connected_components(tree)
    }
    again, _ = spanning_forest(links, uplinks, chosen)
    assert again == chosen


def test_behind_a_tree_port_is_what_broadcast_reaches_through_it() -> None:
    links = cabled([(1, 2), (2, 3), (1, 4)])
    assert behind(links, end(1, 0).node_id) == {
        10: frozenset({end(2, 0).node_id, end(3, 0).node_id}),
        12: frozenset({end(4, 0).node_id}),
    }
    assert behind(links, end(9, 0).node_id) == {}
