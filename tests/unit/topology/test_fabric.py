"""Trees change hands without a moment in which both are in use."""

from __future__ import annotations

import networkx as nx
import pytest

from controller.errors import ConfigurationError
from tests.unit.topology.cabling import Cabling, end, ring
from topology import tags
from topology.fabric import HANDOVER
from topology.links import End, PortState, Role
from topology.timerwheel import TimerWheel


def in_use(bed: Cabling) -> nx.MultiGraph:  # type: ignore[type-arg]
    tree = bed.topology.trees["physnet1"]
    graph = nx.MultiGraph((each.a.node_id, each.b.node_id) for each in tree.links)
    graph.add_edges_from((where.node_id, "cloud") for where in tree.uplinks)
    return graph


def test_a_link_between_two_switches_with_uplinks_takes_over_in_two_steps() -> None:
    """First one uplink is given up, only then the link is used: with all three there would be a loop."""
    bed = Cabling()
    for number in (1, 2):
        bed.port(end(number, 9), Role.UPLINK, "physnet1")
        bed.port(end(number, 1), Role.FREE)
    bed.connect()
    bed.run(1)
    assert bed.topology.trees["physnet1"].uplinks == {end(1, 9), end(2, 9)}
    bed.cable(end(1, 1), end(2, 1))
    seen = []
    for _ in range(60):
        bed.run(0.05)
        seen.append(in_use(bed).number_of_edges())
        assert nx.is_forest(in_use(bed))
    assert seen[0] == 2
    assert 1 in seen
    assert seen[-1] == 2
    assert seen.count(1) >= HANDOVER / 0.05 - 1
    assert bed.topology.trees["physnet1"].uplinks == {end(1, 9)}


def test_uplink_that_fails_is_replaced_at_once() -> None:
    bed = ring(4)
    for number in (2, 4):
        bed.port(end(number, 9), Role.UPLINK, "physnet1")
    bed.connect()
    bed.run(2)
    assert bed.topology.trees["physnet1"].uplinks == {end(2, 9)}
    assert bed.topology.port(end(2, 9), False, bed.now) == {end(number, 1).node_id for number in range(1, 5)}
    assert bed.topology.trees["physnet1"].uplinks == {end(4, 9)}
    bed.topology.port(end(2, 9), True, bed.now)
    bed.run(2)
    assert bed.topology.trees["physnet1"].uplinks == {end(4, 9)}, "what works stays"


def test_a_tree_changes_only_where_a_link_died() -> None:
    bed = ring(6)
    bed.connect()
    bed.run(1)
    before = bed.topology.trees["physnet1"].links
    dead = sorted(before)[0]
    bed.topology.port(dead.a, False, bed.now)
    after = bed.topology.trees["physnet1"].links
    assert before - after == {dead}
    assert len(after - before) == 1
    bed.topology.port(dead.a, True, bed.now)
    bed.run(2)
    assert bed.topology.trees["physnet1"].links == after


def test_partition_and_merge() -> None:
    bed = ring(6)
    bed.connect()
    bed.run(1)
    for cut in (end(1, 1), end(4, 1)):
        bed.topology.port(cut, False, bed.now)
    assert bed.topology.view(end(1, 1).node_id).members == {end(number, 1).node_id for number in (5, 6, 1)}
    for cut in (end(1, 1), end(4, 1)):
        bed.topology.port(cut, True, bed.now)
    bed.run(1)
    assert len(bed.topology.view(end(1, 1).node_id).members) == 6


def test_unchanged_views_are_the_same_objects() -> None:
    bed = ring(5)
    bed.connect()
    bed.run(1)
    views = {node: bed.topology.view(node) for node in bed.ports}
    assert bed.connect() == set()
    assert bed.run(20) == set()
    assert all(bed.topology.view(node) is view for node, view in views.items())


def test_a_port_that_becomes_a_tenants_is_no_link_any_more() -> None:
    bed = ring(3)
    bed.connect()
    bed.run(1)
    bed.ports[end(1, 1).node_id][1] = PortState(True, Role.TENANT)
    assert end(1, 1).node_id in bed.connect()
    assert 1 not in bed.topology.view(end(1, 1).node_id).links


def test_what_tenants_plug_in_and_out_costs_no_walk_over_the_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = ring(5)
    bed.connect()
    bed.run(1)
    looks: list[object] = []
    monkeypatch.setattr(bed.topology, "_look", lambda *_: looks.append(1) or {})
    for state in (PortState(True, Role.TENANT), PortState(False, Role.TENANT), PortState(True, Role.FREE)):
        bed.ports[end(1, 1).node_id][9] = state
        assert bed.connect() == set()
    del bed.ports[end(1, 1).node_id][9]
    bed.connect()
    assert looks == []
    bed.topology.port(end(1, 1), False, bed.now)
    assert looks == [1]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([], {}),
        (["a"], {"a": (0, 4094)}),
        (["a:0:99", "b:100:4094"], {"a": (0, 99), "b": (100, 4094)}),
        ([" a : 5 : 5 "], {"a": (5, 5)}),
    ],
)
def test_tags_are_read(entries: list[str], found: dict[str, tuple[int, int]]) -> None:
    assert tags.parse(entries) == found


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["a", "b"], "overlap"),
        (["a", "a"], "twice"),
        (["a:1"], "is not"),
        ([":1:2"], "is not"),
        (["a:x:2"], "is not"),
        (["a:9:2"], "no range"),
        (["a:1:4095"], "no range"),
    ],
)
def test_tags_that_cannot_be(entries: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        tags.parse(entries)


def test_timer_wheel_takes_turns_evenly_and_never_too_fast() -> None:
    wheel: TimerWheel[End] = TimerWheel(period=2.0, rate=100.0)
    keys = [end(1, number) for number in range(1000)]
    for key in keys:
        wheel.add(key)
    assert wheel.due(0.0) == keys
    assert wheel.period == 10.0
    turns: dict[End, int] = dict.fromkeys(keys, 0)
    most = 0
    for step in range(1, 4001):
        due = wheel.due(step * 0.01)
        most = max(most, len(due))
        for key in due:
            turns[key] += 1
    assert most <= 2
    assert set(turns.values()) <= {3, 4}
    wheel.soon(keys[7])
    assert wheel.due(40.0) == [keys[7]]
    for key in keys[1:]:
        wheel.remove(key)
    assert wheel.period == 2.0
    assert wheel.due(1e9) == [keys[0]]
