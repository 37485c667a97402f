"""Paths are the shortest, spread, and the same however the graph came about; trees span and never loop."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.topology.cabling import end
from topology.graph import Paths, behind, spanning_forest
from topology.links import End, Link, link

APART = None
pairs = st.tuples(st.integers(1, 7), st.integers(1, 7)).filter(lambda pair: pair[0] != pair[1])


def cabled(wanted: list[tuple[int, int]]) -> list[Link]:
    """A link per pair, each with ports of its own."""
    return [link(end(one, 10 + place), end(other, 50 + place)) for place, (one, other) in enumerate(wanted)]


def as_graph(links: list[Link]) -> nx.MultiGraph:  # type: ignore[type-arg]
    graph = nx.MultiGraph()
    graph.add_edges_from((each.a.node_id, each.b.node_id) for each in links)
    return graph


changes = st.tuples(st.sets(st.integers(0, 13), max_size=4), st.sets(st.integers(1, 9)))


@given(st.lists(pairs, max_size=14), st.lists(changes, max_size=10))
def test_incremental_paths_are_those_of_a_fresh_start(
    wanted: list[tuple[int, int]], events: list[tuple[set[int], set[int]]]
) -> None:
    """Whatever comes and goes at once, links and switches: nobody is told of less than what changed."""
    links = cabled(wanted)
    present, paths = set(links), Paths()
    paths.update([], present)
    known = everything(paths)
    for toggles, numbers in events:
        present ^= {links[toggle % len(links)] for toggle in toggles if links}
        alone = [end(number, 0).node_id for number in numbers]
        measured, ends = paths.update(alone, present)
        fresh = Paths()
        fresh.update(alone, present)
        assert paths.switches == fresh.switches
        now = everything(fresh)
        assert now == everything(paths)
        for (a, b), seen in now.items():
            assert seen == known.get((a, b), APART) or b in measured.get(a, ()) or a in ends
        known = now


def everything(paths: Paths) -> dict[tuple[str, str], object]:
    """What is asked of paths, for each pair of switches."""
    return {(a, b): (paths.next_hops(a, b), paths.distance([b], a)) if b in paths.component(a) else APART
            for a in paths.switches for b in paths.switches}  # fmt: skip


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
    leaf = link(end(1, 3), end(101, 1))
    paths.update([], [*links, leaf])
    before = paths.recomputed
    paths.update([], links)
    assert paths.recomputed - before == 200, "a hundred lost the way to the leaf, and it the way to a hundred"


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
    one, two, three, four = (end(number, 0).node_id for number in (1, 2, 3, 4))
    assert behind([*links, *cabled([(5, 6)])[:1]]) == {
        one: {10: {two, three}, 12: {four}},
        two: {50: {one, four}, 11: {three}},
        three: {51: {one, two, four}},
        four: {52: {one, two, three}},
        end(5, 0).node_id: {10: {end(6, 0).node_id}},
        end(6, 0).node_id: {50: {end(5, 0).node_id}},
    }
    assert behind([]) == {}
