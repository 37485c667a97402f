"""Who may use a new link when."""

from __future__ import annotations

from controller.model import Fabric, FabricTree
from tests.unit.topology.cabling import end
from topology.links import link
from topology.waves import PATIENCE, Waves, Ways, centre_of, together

OLD = {name: Fabric(next_hops={"t": (1,)}) for name in "abcd"}
DISTANCE = {"a": 0, "b": 0, "c": 1, "d": 3}


def started() -> Waves:
    waves = Waves()
    assert waves.start(OLD, DISTANCE.__getitem__, 0.0) == {"a", "b"}
    return waves


def test_those_farther_away_wait_for_those_that_are_nearer() -> None:
    waves = started()
    assert waves.turn({"b"}, 0.1) == set()
    assert waves.ways("c") == Ways.of(OLD["c"])
    assert waves.turn(set(), 0.2) == {"c"}
    assert waves.ways("c") is None
    assert waves.turn(set(), 0.3) == {"d"}
    assert waves.running
    assert waves.turn(set(), 0.4) == set()
    assert not waves.running


def test_nobody_waits_for_ever_for_one_that_is_stuck() -> None:
    waves = started()
    assert waves.turn({"b"}, PATIENCE - 0.01) == set()
    assert waves.turn({"b"}, PATIENCE) == {"c"}


def test_an_end_to_it_lets_everybody_go() -> None:
    waves = started()
    assert waves.end() == {"c", "d"}
    assert not waves.running
    assert waves.ways("d") is None


def test_ways_are_kept_and_all_else_is_new() -> None:
    old = Fabric(next_hops={"t": (1,)}, hosts={"h": (1,)}, trees={"physnet1": FabricTree(exit=(1,))})
    new = Fabric(links=(1, 2), next_hops={"t": (2,)}, hosts={"h": (2,)}, trees={"physnet1": FabricTree(exit=(2,))})
    assert Ways.of(old).within(new) == Fabric((1, 2), next_hops=old.next_hops, hosts=old.hosts, trees=old.trees)


def test_links_come_into_use_one_switch_at_a_time() -> None:
    star = {link(end(1, 1), end(2, 1)), link(end(1, 2), end(3, 1))}
    apart = link(end(4, 1), end(5, 1))
    assert together({*star, apart}) == star
    assert centre_of(star) == {end(1, 1).node_id}
    assert centre_of([apart]) == {end(4, 1).node_id, end(5, 1).node_id}
    assert together(set()) == frozenset()
